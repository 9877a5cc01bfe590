"""The signature of a version, in the format of OpenSSF Model Signing: a Sigstore bundle of plain JSON.

    bundle      `model.sig`: the envelope and the hint at the key that signed
    envelope    DSSE: the statement and the signature over `encoded(statement)`
    statement   in-toto: the version as its one subject, and the SHA-256 of each member of the archive

https://github.com/ossf/model-signing-spec, https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md and
https://docs.sigstore.dev/about/bundle/.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from millrace.errors import ArtefactError

SIGNATURE_FILE = "model.sig"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"


@dataclass(frozen=True, kw_only=True)
class SignedVersion:
    """What a signature is about."""

    name: str
    """`<package group>/<run>`: one run registers one version."""
    members: Mapping[str, str]
    """The SHA-256 of each member of the archive."""
    digests: Mapping[str, str]
    """The version's other digests as the registry keeps them: `data_digest`, `card_digest`, …"""

    def to_statement(self) -> bytes:
        """The in-toto statement as JSON; verifiers of the format pass over `digests`, which it does not know."""
        names = sorted(self.members)
        resources = [{"name": name, "algorithm": "sha256", "digest": self.members[name]} for name in names]
        document = {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": self.name, "digest": {"sha256": _root(self.members)}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
                "resources": resources,
                "digests": dict(self.digests),
            },
        }
        return json.dumps(document).encode()


def read_statement(statement: bytes) -> SignedVersion:
    """What was signed. Raises ArtefactError for a statement that is not as `to_statement` writes it."""
    try:
        document = json.loads(statement)
        if (document["_type"], document["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
            raise ValueError(f"{document['_type']} with {document['predicateType']}")
        [subject], predicate = document["subject"], document["predicate"]
        members = {str(one["name"]): str(one["digest"]) for one in predicate["resources"]}
        if len(members) != len(predicate["resources"]):
            raise ValueError("a member twice")
        if (came := subject["digest"]["sha256"]) != (root := _root(members)):
            raise ValueError(f"digest {came} of members that have {root}")
        digests = {str(name): str(value) for name, value in predicate["digests"].items()}
        return SignedVersion(name=str(subject["name"]), members=members, digests=digests)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ArtefactError(f"{SIGNATURE_FILE}: expected a statement of a model's members, got {error!r}") from None


def encoded(statement: bytes) -> bytes:
    """What the signature is made over: DSSE's encoding of the statement with its type, before authentication."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(statement), statement)


@dataclass(frozen=True, kw_only=True)
class SignedStatement:
    """A statement with its signature."""

    statement: bytes
    signature: bytes
    """ECDSA in DER."""
    hint: str
    """At the public key: the SHA-256 of its PEM, hexadecimal. Nothing is decided by it."""

    def to_bundle(self) -> bytes:
        """The content of `model.sig`."""
        document = {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": self.hint}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(self.statement).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": base64.b64encode(self.signature).decode(), "keyid": ""}],
            },
        }
        return json.dumps(document, indent=1).encode()


def read_bundle(content: bytes) -> SignedStatement:
    """The statement and its signature, which nobody has checked yet. Raises ArtefactError for another document."""
    try:
        document = json.loads(content)
        envelope = document["dsseEnvelope"]
        if (document["mediaType"], envelope["payloadType"]) != (BUNDLE_TYPE, PAYLOAD_TYPE):
            raise ValueError(f"{document['mediaType']} with {envelope['payloadType']}")
        [one] = envelope["signatures"]
        return SignedStatement(
            statement=_bytes(envelope["payload"]),
            signature=_bytes(one["sig"]),
            hint=str(document["verificationMaterial"]["publicKey"]["hint"]),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ArtefactError(f"{SIGNATURE_FILE}: expected a Sigstore bundle with one signature, got {error!r}") from None


def _root(members: Mapping[str, str]) -> str:
    """The SHA-256 over the digests themselves, in the order of the members' names, as the format has it."""
    return hashlib.sha256(b"".join(bytes.fromhex(members[name]) for name in sorted(members))).hexdigest()


def _bytes(text: Any) -> bytes:
    return base64.b64decode(text, validate=True)
