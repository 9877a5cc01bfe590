"""Verify a version against its signature: the archive's members, the run's documents, and the registry's digests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millrace.artefact.artefact import ARCHIVE, digest, digests_of, read_members
from millrace.artefact.signing import SIGNATURE_FILE, SignedVersion
from millrace.aws.objects import download, read_object
from millrace.console.columns import column
from millrace.console.environment import Environment
from millrace.console.queries.cards import find_package
from millrace.console.queries.stored import find_object
from millrace.errors import ArtefactError
from millrace.evaluation.agreement import SAMPLE_FILE
from millrace.evaluation.report import EVALUATION_FILE
from millrace.messages.monitor import BASELINE_FILE
from millrace.names import WorkloadNames
from millrace.release.bom import BOM_FILE
from millrace.release.card import CARD_FILE
from millrace.release.signatures import ORIGIN_FILE, SigningKey, check_members, check_signature

DOCUMENTS: Mapping[str, tuple[str, ...]] = {
    "evaluation_digest": ("evaluation", EVALUATION_FILE),
    "baseline_digest": (BASELINE_FILE,),
    "sample_digest": ("evaluation", SAMPLE_FILE),
    "card_digest": (CARD_FILE,),
    "bom_digest": (BOM_FILE,),
    "origin_digest": (ORIGIN_FILE,),
}
"""By the name of a digest, where its file lies in the folder of the run."""
PUBLIC_KEY = "public-key.pem"


@dataclass(frozen=True, kw_only=True)
class Verified:
    """One digest that the signature covers."""

    what: str = column()
    """A member of the archive, a file of the run, or one of the registry's digests."""
    digest: str = column("{:.12}".format)
    """SHA-256 in hexadecimal digits."""
    compared_with: str = column()
    """What the digest was compared with: `archive`, `file` or `registry`."""


def signing_key(environment: Environment) -> SigningKey:
    """The stage's signing key."""
    return SigningKey(environment.client("kms"), environment.platform.signing_key_alias)


def verify_version(
    environment: Environment, names: WorkloadNames, version: str = "", *, folder: Path | None = None
) -> tuple[SignedVersion, tuple[Verified, ...]]:
    """What was signed, and each digest of it. With `folder`, the members, the signature and the public key are written
    there.

    Raises ArtefactError for the first digest that is not as it was signed, and if the folder has files."""
    package, s3 = find_package(environment, names, version), environment.client("s3")
    # First the signature itself, then what it covers: members, archive, documents.
    signed = check_signature(s3, signing_key(environment), names, package)
    where = f"version {package.version}"
    with tempfile.TemporaryDirectory() as root:
        archive = Path(root) / ARCHIVE
        download(s3, package.model_data_url, archive)
        whole, members = digest(archive.read_bytes()), read_members(archive)
    try:
        check_members(signed, digests_of(members))
    except ArtefactError as error:
        raise ArtefactError(f"{where}: {error}") from None
    run = package.metadata["run"]
    found = {ARCHIVE: ("artefact_digest", whole)} | dict(_documents(s3, names, run, signed))
    for file, (name, came) in found.items():
        if (expected := signed.digests.get(name)) != came:
            raise ArtefactError(f"{where}: {file}: expected {expected}, as it was signed, got {came or 'no file'}")
    if folder is not None:
        _write(folder, members, read_object(s3, names.run_uri(run, SIGNATURE_FILE)), signing_key(environment))
    # Digests without a file were compared with the registry by `check_signature`.
    compared = {name for name, _ in found.values()}
    return signed, (
        *(Verified(what=name, digest=value, compared_with="archive") for name, value in signed.members.items()),
        *(Verified(what=file, digest=value, compared_with="file") for file, (_, value) in found.items()),
        *(
            Verified(what=name, digest=value, compared_with="registry")
            for name, value in signed.digests.items()
            if name not in compared
        ),
    )


def _documents(s3: Any, names: WorkloadNames, run: str, signed: SignedVersion) -> Iterator[tuple[str, tuple[str, str]]]:
    """By file: the name of its digest, and what the digest is now. A stage without cards has no signed card."""
    for name, parts in DOCUMENTS.items():
        if name in signed.digests:
            content = find_object(s3, names.run_uri(run, *parts))
            yield parts[-1], (name, "" if content is None else digest(content))


def _write(folder: Path, members: Mapping[str, bytes], signature: bytes, key: SigningKey) -> None:
    """Write what is needed to check the signature without AWS. Raises ArtefactError if the folder has files."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtefactError(f"{folder}: expected a folder that is empty or not there, got one with files, or a file")
    (folder / "model").mkdir(parents=True)
    for name, content in members.items():
        (folder / "model" / name).write_bytes(content)
    (folder / SIGNATURE_FILE).write_bytes(signature)
    (folder / PUBLIC_KEY).write_text(key.public_key())
