"""The signature of a version, in the format of OpenSSF Model Signing: a Sigstore bundle in plain JSON.

    bundle      `model.sig`: the envelope, and a hint at the key that signed
    envelope    DSSE: the statement, and the signature over `encoded(statement)`
    statement   in-toto: the version as its one subject, and the SHA-256 of each member of the archive

This module writes and reads these documents. It neither signs nor verifies. The formats:
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
    """The version that a signature is about."""

    name: str
    """`<package group>/<run>`; a run registers one version."""
    members: Mapping[str, str]
    """The SHA-256 of each member of the archive by its name."""
    digests: Mapping[str, str]
    """The version's other digests as the registry keeps them: `data_digest`, `card_digest`, …"""

    def to_statement(self) -> bytes:
        """The in-toto statement as JSON.

        The format does not know the key `digests`, so its own verifiers pass over it."""
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
    """The signed version of a statement. Raises ArtefactError for a statement that `to_statement` would not write."""
    try:
        document = json.loads(statement)
        if (document["_type"], document["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
            raise ValueError(f"{document['_type']} with {document['predicateType']}")
        [subject], predicate = document["subject"], document["predicate"]
        members = {str(one["name"]): str(one["digest"]) for one in predicate["resources"]}
        # Two resources of one name are one entry of the dictionary: one of the two would never be compared.
        if len(members) != len(predicate["resources"]):
            raise ValueError("a member twice")
        if (came := subject["digest"]["sha256"]) != (root := _root(members)):
            raise ValueError(f"digest {came} of members that have {root}")
        digests = {str(name): str(value) for name, value in predicate["digests"].items()}
        return SignedVersion(name=str(subject["name"]), members=members, digests=digests)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ArtefactError(f"{SIGNATURE_FILE}: expected a statement of a model's members, got {error!r}") from None


def encoded(statement: bytes) -> bytes:
    """The bytes that are signed: DSSE's pre-authentication encoding of the statement with its type."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(statement), statement)


@dataclass(frozen=True, kw_only=True)
class SignedStatement:
    """A statement with its signature."""

    statement: bytes
    signature: bytes
    """An ECDSA signature in DER."""
    hint: str
    """A hint at the public key: the SHA-256 of its PEM, hexadecimal. Nothing is decided by it."""

    def to_bundle(self) -> bytes:
        """The content of `model.sig`."""
        # No entry of a transparency log: the signature is verified with the public key alone.
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
    """The statement and the signature of a bundle; the signature is not checked here.

    Raises ArtefactError for another document."""
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
    """The SHA-256 over the digests of all members as bytes, in the order of their names, as the format prescribes."""
    return hashlib.sha256(b"".join(bytes.fromhex(members[name]) for name in sorted(members))).hexdigest()


def _bytes(text: Any) -> bytes:
    return base64.b64decode(text, validate=True)
