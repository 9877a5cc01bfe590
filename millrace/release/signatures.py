"""Signs versions, and checks their signatures, by the stage's asymmetric key in AWS KMS."""

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
from millrace.release.registry import Package

ALGORITHM = "ECDSA_SHA_256"


class SigningKey:
    """The key of this alias (ECC_NIST_P256), whose private half never leaves KMS; `client` is boto3's KMS client."""

    def __init__(self, client: Any, alias: str) -> None:
        self._client, self._alias = client, alias

    def sign(self, version: SignedVersion) -> bytes:
        """The content of `model.sig`."""
        statement = version.to_statement()
        answer = self._client.sign(**self._request(statement))
        hint = hashlib.sha256(self.public_key().encode()).hexdigest()
        return SignedStatement(statement=statement, signature=answer["Signature"], hint=hint).to_bundle()

    def open(self, content: bytes) -> SignedVersion:
        """What was signed; `content` is that of `model.sig`. Raises ArtefactError where this key did not sign it."""
        signed = read_bundle(content)
        try:
            answer = self._client.verify(**self._request(signed.statement), Signature=signed.signature)
        except self._client.exceptions.KMSInvalidSignatureException:
            answer = {"SignatureValid": False}
        if not answer["SignatureValid"]:
            raise ArtefactError(f"{SIGNATURE_FILE}: expected a signature by {self._alias}, this key did not make it")
        return read_statement(signed.statement)

    def public_key(self) -> str:
        """The public half as PEM, by which anybody checks a signature."""
        der = self._client.get_public_key(KeyId=self._alias)["PublicKey"]
        lines = textwrap.wrap(base64.b64encode(der).decode(), 64)
        return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])

    def _request(self, statement: bytes) -> dict[str, Any]:
        """KMS takes 4,096 bytes at most, so it is given the digest."""
        digest = hashlib.sha256(encoded(statement)).digest()
        return {"KeyId": self._alias, "Message": digest, "MessageType": "DIGEST", "SigningAlgorithm": ALGORITHM}


def signed_version(
    names: WorkloadNames, *, run: str, members: Mapping[str, str], metadata: Mapping[str, str]
) -> SignedVersion:
    """What is signed of the version that `run` registers with these members and this metadata."""
    digests = {name: value for name, value in metadata.items() if name.endswith("_digest")}
    return SignedVersion(name=f"{names.package_group}/{run}", members=members, digests=digests)


def check_members(signed: SignedVersion, members: Mapping[str, str]) -> None:
    """Raises ArtefactError where a member is not the one that was signed; `members` are SHA-256 by name."""
    for name in sorted(signed.members.keys() | members.keys()):
        expected, came = signed.members.get(name), members.get(name)
        if expected != came:
            raise ArtefactError(
                f"{name}: expected {expected or 'no such member'}, as it was signed, got {came or 'none'}"
            )


def is_signed(s3: Any, names: WorkloadNames, package: Package) -> bool:
    """Whether the version's run has a signature, right or wrong; `s3` is boto3's S3 client."""
    bucket, path = split_uri(names.run_uri(package.metadata.get("run", ""), SIGNATURE_FILE))
    # Listed first: a reader who may list only below a prefix is told "access denied" for an object that is not there.
    return path in keys_below(s3, bucket, path)


def check_signature(s3: Any, key: SigningKey, names: WorkloadNames, package: Package) -> SignedVersion:
    """What was signed of the version; `s3` is boto3's S3 client.

    Raises ArtefactError where there is no signature, where another key made it, and where it is that of another
    version or of other digests than the registry keeps."""
    run, where = package.metadata.get("run", ""), f"version {package.version}"
    uri = names.run_uri(run, SIGNATURE_FILE)
    if not is_signed(s3, names, package):
        advice = "a version without one is not released: train a new one"
        raise ArtefactError(f"{where}: expected {SIGNATURE_FILE} of run {run}, there is none; {advice}")
    try:
        signed = key.open(read_object(s3, uri))
    except ArtefactError as error:
        raise ArtefactError(f"{where}: {error}") from None
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
