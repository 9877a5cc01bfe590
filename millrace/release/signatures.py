"""Signs versions with the stage's asymmetric key in AWS KMS, and checks their signatures."""

from __future__ import annotations

import base64
import hashlib
import textwrap
from collections.abc import Mapping
from typing import Any

from millrace.artefact.signing import (
    SIGNATURE_FILE,
    SignedStatement,
    SignedVersion,
    encoded,
    read_bundle,
    read_statement,
)
from millrace.aws.objects import keys_below, read_object, split_uri
from millrace.errors import ArtefactError
from millrace.names import WorkloadNames
from millrace.release.registry import ASKED_BY, Package

ALGORITHM = "ECDSA_SHA_256"
ORIGIN_FILE = "origin.sig"
"""The signature by which a pulled version was signed in the other stage, in the run's folder."""


class SigningKey:
    """The key with this alias, of the type ECC_NIST_P256. Its private half never leaves KMS.

    `client` is boto3's KMS client."""

    def __init__(self, client: Any, alias: str) -> None:
        self._client, self._alias = client, alias

    def sign(self, statement: bytes) -> bytes:
        """The signed statement: the content of `model.sig` for that of a version."""
        answer = self._client.sign(**self._request(statement))
        hint = hashlib.sha256(self.public_key().encode()).hexdigest()
        return SignedStatement(statement=statement, signature=answer["Signature"], hint=hint).to_bundle()

    def open(self, content: bytes) -> SignedVersion:
        """The version that was signed; `content` is that of `model.sig`.

        Raises ArtefactError if this key did not make the signature."""
        signed = read_bundle(content)
        try:
            answer = self._client.verify(**self._request(signed.statement), Signature=signed.signature)
        except self._client.exceptions.KMSInvalidSignatureException:
            answer = {"SignatureValid": False}
        if not answer["SignatureValid"]:
            raise ArtefactError(f"{SIGNATURE_FILE}: expected a signature by {self._alias}, this key did not make it")
        return read_statement(signed.statement)

    def public_key(self) -> str:
        """The public half as PEM. Anybody can check a signature with it."""
        der = self._client.get_public_key(KeyId=self._alias)["PublicKey"]
        lines = textwrap.wrap(base64.b64encode(der).decode(), 64)
        return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])

    def _request(self, statement: bytes) -> dict[str, Any]:
        """The parameters that Sign and Verify share. KMS takes at most 4,096 bytes, so it gets the digest."""
        digest = hashlib.sha256(encoded(statement)).digest()
        return {"KeyId": self._alias, "Message": digest, "MessageType": "DIGEST", "SigningAlgorithm": ALGORITHM}


def signed_version(
    names: WorkloadNames, *, run: str, members: Mapping[str, str], metadata: Mapping[str, str]
) -> SignedVersion:
    """What is signed for the version that `run` registers: its members, every digest of its metadata, and who asked.

    `members` is the SHA-256 of each member of the archive by its name."""
    digests = {name: value for name, value in metadata.items() if name.endswith("_digest")}
    # Of who asked for the training the registry has no digest: whoever may approve a version may edit its metadata.
    if ASKED_BY in metadata:
        digests[ASKED_BY] = hashlib.sha256(metadata[ASKED_BY].encode()).hexdigest()
    return SignedVersion(name=f"{names.package_group}/{run}", members=members, digests=digests)


def automation_digest(metadata: Mapping[str, str]) -> str:
    """The SHA-256 of the promised error and of the confidence that keeps it, as the metadata of a version has them.

    Of the metadata only digests are signed."""
    text = f"{metadata.get('promised_error', '')} {metadata.get('automate_from', '')}"
    return hashlib.sha256(text.encode()).hexdigest()


def check_members(signed: SignedVersion, members: Mapping[str, str]) -> None:
    """Raise ArtefactError if a member is not the one that was signed, if one is missing, or if there is one more.

    `members` is the SHA-256 of each member of the archive by its name."""
    for name in sorted(signed.members.keys() | members.keys()):
        expected, came = signed.members.get(name), members.get(name)
        if expected != came:
            raise ArtefactError(
                f"{name}: expected {expected or 'no such member'}, as it was signed, got {came or 'none'}"
            )


def is_signed(s3: Any, names: WorkloadNames, package: Package) -> bool:
    """Whether there is a signature of the version's run, right or wrong. `s3` is boto3's S3 client."""
    bucket, path = split_uri(names.run_uri(package.metadata.get("run", ""), SIGNATURE_FILE))
    # By a listing, not by a failed read: a role that may list below a prefix only gets "access denied" when it reads an
    # object that is not there.
    return path in keys_below(s3, bucket, path)


def check_signature(s3: Any, key: SigningKey, names: WorkloadNames, package: Package) -> SignedVersion:
    """The signed version, after its signature was checked. `s3` is boto3's S3 client.

    Raises ArtefactError if there is no signature, if another key made it, or if it belongs to another version or to
    other digests than the registry has."""
    run, where = package.metadata.get("run", ""), f"version {package.version}"
    uri = names.run_uri(run, SIGNATURE_FILE)
    if not is_signed(s3, names, package):
        advice = "a version without one is not released: train a new one"
        raise ArtefactError(f"{where}: expected {SIGNATURE_FILE} of run {run}, there is none; {advice}")
    try:
        signed = key.open(read_object(s3, uri))
    except ArtefactError as error:
        raise ArtefactError(f"{where}: {error}") from None
    # The registry has no members, so those of the signature are taken as they are: `check_members` compares them with
    # the archive. Name and digests must be those of the registry.
    known = signed_version(names, run=run, members=signed.members, metadata=package.metadata)
    if signed.name != known.name:
        raise ArtefactError(f"{where}: {SIGNATURE_FILE}: expected that of {known.name}, got that of {signed.name}")
    for name in sorted(known.digests.keys() | signed.digests.keys()):
        expected, came = signed.digests.get(name), known.digests.get(name)
        if expected != came:
            raise ArtefactError(
                f"{where}: {name}: expected {expected or 'none'}, as it was signed, the registry has {came or 'none'}"
            )
    return signed
