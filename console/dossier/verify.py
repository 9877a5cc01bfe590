"""Verifies the dossier in this folder. It needs Python 3.9 and `cryptography`: no account, no network, nothing else.

    python verify.py [--key SHA256] [--head NUMBER:SHA256] [--certificate erased.json]

It checks each file's digest in manifest.json, the signature in model.sig by public-key.pem, each document that the
signature covers, the chain of the audit, and each line of dossier.html that names a place in these documents: the line
must say what stands there. Whoever writes the whole folder anew can sign it by a key of his own and make a chain of his
own. So compare the key, and a head of the audit, with what its owner has told you before: `--key` and `--head`. With
`--certificate` the audit must have the record of this erasure, with the same people, counts and dataset versions.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import html
import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MANIFEST, PAGE, KEY, SIGNATURE, AUDIT = "manifest.json", "dossier.html", "public-key.pem", "model.sig", "audit.jsonl"
PROVENANCE = "provenance.sig"
SIGNED = {
    "evaluation.json": ("evaluation_digest",),
    "card.json": ("card_digest",),
    "bom.cdx.json": ("bom_digest",),
    "contract.json": ("contract_digest",),
    "workload.json": ("declaration_digest", "config_digest"),
}
"""The documents that the signature covers, each with the names of its digest: the first that was signed counts."""
DECLARED = ("workload.json", "contract.json")
"""The documents that people wrote: what stands there is declared, and was never measured."""
CELLS = re.compile('<td data-at="([^"]*)">([^<]*)</td>\n<td>(declared|verified)</td>')
"""Two cells of dossier.html: the place in a document with the text that stands there, and what it is called."""


class WrongError(Exception):
    """Something is not as it was signed, or as it was recorded."""


@contextmanager
def _reading(where: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise WrongError(f"{where}: cannot be read: {error!r:.200}") from None


def sha256(content: bytes) -> str:
    """The SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def manifest_of(files: Mapping[str, bytes]) -> bytes:
    """The content of manifest.json: the digest of each file. No other bytes say the same."""
    return json.dumps({name: sha256(files[name]) for name in sorted(files)}, indent=1).encode()


def resolve(document: Any, pointer: str) -> Any:
    """What stands at a JSON pointer (RFC 6901). A text on the way is JSON itself: the details of an audit record are.

    Raises LookupError, ValueError or TypeError if nothing stands there."""
    for escaped in pointer.split("/")[1:]:
        key = escaped.replace("~1", "/").replace("~0", "~")
        inner = json.loads(document) if isinstance(document, str) else document
        document = inner[int(key)] if isinstance(inner, list) else inner[key]
    return document


def text_of(value: Any) -> str:
    """A value as dossier.html shows it: a text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def read_statement(bundle: bytes, key: bytes, name: str) -> dict[str, Any]:
    """The in-toto statement in the DSSE envelope of the file `name`. Raises WrongError for another key's."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    with _reading(name):
        envelope = json.loads(bundle)["dsseEnvelope"]
        payload, kind = base64.b64decode(envelope["payload"], validate=True), envelope["payloadType"].encode()
        [signature] = envelope["signatures"]
        signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        statement: dict[str, Any] = json.loads(payload)
        try:
            public: Any = serialization.load_pem_public_key(key)
            public.verify(base64.b64decode(signature["sig"], validate=True), signed, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, UnsupportedAlgorithm):
            raise WrongError(f"{name}: expected a signature by {KEY}, that key did not make it") from None
        return statement


def read_links(content: bytes) -> tuple[dict[str, Any], list[str]]:
    """The links of the audit by their numbers from "1", and the digest of each. Raises WrongError, with the line."""
    links: dict[str, Any] = {}
    digests = ["0" * 64]
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        with _reading(where := f"{AUDIT}: line {number}"):
            link = json.loads(line)
            came = (link["number"], link["previous"], link["change"])
            if came != (expected := (number, digests[-1], "INSERT")):
                raise WrongError(f"{where}: expected {expected}, got {came}")
            # The key of a record ends with the digest of its fields, so the newest record is checked, too.
            fields = {name: value["S"] for name, value in link["record"].items()}
            own, key = fields.pop("pk"), fields.pop("sk")
            made = sha256(json.dumps(fields, sort_keys=True).encode())[:32]
            if key != f"{fields['as_of']}#{made}":
                raise WrongError(f"{where}: expected the record {fields['as_of']}#{made} of {own}, got {key}")
        links[str(number)] = link
        digests.append(sha256(line))
    return links, digests


def read_documents(files: Mapping[str, bytes]) -> dict[str, Any]:
    """What was signed and chained, by the names of the files. Raises WrongError for the first that is wrong."""
    statement = read_statement(files[SIGNATURE], files[KEY], SIGNATURE)
    documents = {SIGNATURE: statement, AUDIT: read_links(files[AUDIT])[0]}
    if PROVENANCE in files:
        with _reading(PROVENANCE):
            documents[PROVENANCE] = read_statement(files[PROVENANCE], files[KEY], PROVENANCE)
            expected = statement["predicate"]["digests"]["artefact_digest"]
            if documents[PROVENANCE]["subject"][0]["digest"]["sha256"] != expected:
                raise WrongError(f"{PROVENANCE}: expected that of the archive {expected}")
    for name in files.keys() & SIGNED.keys():
        with _reading(name):
            digests = statement["predicate"]["digests"]
            expected = next(digests[each] for each in SIGNED[name] if each in digests)
            if sha256(files[name]) != expected:
                raise WrongError(f"{name}: expected {expected}, as it was signed, got {sha256(files[name])}")
            documents[name] = json.loads(files[name])
    return documents


def check_certificate(path: Path, links: Mapping[str, Any]) -> str:
    """The names of what the certificate of an erasure says beside its record in the audit, which nothing proves.

    Raises WrongError unless a record of the audit says the rest."""
    with _reading(path.name):
        told = json.loads(path.read_bytes())
        for record in (link["record"] for link in links.values()):
            if (record["event"]["S"], record["cause"]["S"]) == ("rows.erased", told["cause"]):
                proved = {**json.loads(record["details"]["S"]), "cause": told["cause"], "as_of": record["as_of"]["S"]}
                if wrong := [f"{name} {proved[name]!r:.99}" for name in proved if told.get(name) != proved[name]]:
                    raise WrongError(f"{path.name}: expected {wrong[0]}, as in {AUDIT}")
                return ", ".join(sorted(told.keys() - proved.keys()))
    raise WrongError(f"{path.name}: expected the cause of an erasure in {AUDIT}, got {told['cause']!r:.99}")


def _read_files(folder: Path) -> dict[str, bytes]:
    """The files of the manifest, with the digests that it names."""
    files = {}
    with _reading(MANIFEST):
        for name, digest in json.loads(manifest := (folder / MANIFEST).read_bytes()).items():
            with _reading(name):
                files[name] = (folder / name).read_bytes()
            if sha256(files[name]) != digest:
                raise WrongError(f"{name}: expected the digest {digest}, got {sha256(files[name])}")
        if manifest_of(files) != manifest or not {PAGE, KEY, SIGNATURE, AUDIT} <= files.keys():
            raise WrongError(f"{MANIFEST}: expected the name and the digest of each file, in order")
    return files


def verify(folder: Path, *, key: str = "", head: str = "") -> tuple[int, str, str]:
    """How many lines are as documents say that were signed or chained, the digest of the key, the head of the audit.

    Raises WrongError for the first thing that is wrong, with file and line."""
    files = _read_files(folder)
    if key not in ("", came := sha256(files[KEY])):
        raise WrongError(f"{KEY}: expected the digest {key}, got {came}")
    documents, digests = read_documents(files), read_links(files[AUDIT])[1]
    number, _, digest = head.partition(":")
    with _reading(f"--head {head}"):
        if head and (found := digests[int(number) :][:1]) != [digest]:
            raise WrongError(f"{AUDIT}: line {number}: expected the digest {digest}, got {found or 'no such line'}")
    with _reading(PAGE):
        cells = list(CELLS.finditer(page := files[PAGE].decode()))
        if len(cells) != (called := page.count("<td>declared</td>") + page.count("<td>verified</td>")):
            raise WrongError(f"{PAGE}: expected a place of each line, got {len(cells)} of {called}")
    for cell in cells:
        at, text, kind = map(html.unescape, cell.groups())
        with _reading(where := f"{PAGE}: line {page.count(chr(10), 0, cell.start()) + 1}: {at}"):
            name, _, pointer = at.partition("#")
            expected = text_of(resolve(documents[name], pointer)), "declared" if name in DECLARED else "verified"
            if (text, kind) != expected:
                raise WrongError(f"{where}: expected {expected!r:.200}, got {(text, kind)!r:.200}")
    return len(cells), came, f"{len(digests) - 1}:{digests[-1]}"


def main() -> None:
    """Exit with 0 if everything is as it was signed and recorded, else with 1."""
    parser = argparse.ArgumentParser(description="Verifies the dossier in this folder.")
    parser.add_argument("--key", default="", help="the SHA-256 of public-key.pem, as its owner told you")
    parser.add_argument("--head", default="", help="a link of the audit, as its owner told you: 17:5d0f...")
    parser.add_argument("--certificate", type=Path, help="the certificate of an erasure")
    options, folder = parser.parse_args(), Path(__file__).resolve().parent
    try:
        lines, key, head = verify(folder, key=options.key, head=options.head)
        if options.certificate:
            beside = check_certificate(options.certificate, read_links((folder / AUDIT).read_bytes())[0])
            print(f"the audit has the erasure of {options.certificate}, but for: {beside}")
    except WrongError as error:
        sys.exit(f"NOT VERIFIED: {error}")
    print(f"verified: {lines} lines\nkey  {key}\nhead {head}")


if __name__ == "__main__":
    main()
