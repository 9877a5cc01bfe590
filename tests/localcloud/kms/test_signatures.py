"""Signatures of the local cloud: whoever has the public key can verify them, and without the filler nobody can."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

MESSAGE = b"a statement"
ASKED = {
    "Message": hashlib.sha256(MESSAGE).digest(),
    "MessageType": "DIGEST",
    "SigningAlgorithm": "ECDSA_SHA_256",
}


def create_key(kms: Any, spec: str = "ECC_NIST_P256", usage: str = "SIGN_VERIFY") -> str:
    return str(kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"])


def test_a_signature_is_valid_elsewhere_and_here_for_its_digest_and_key_alone(client: Callable[[str], Any]) -> None:
    kms = client("kms")
    key, other = create_key(kms), create_key(kms)
    signature = kms.sign(KeyId=key, **ASKED)["Signature"]
    # By the public key alone, of the message itself.
    public: Any = load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
    public.verify(signature, MESSAGE, ec.ECDSA(hashes.SHA256()))
    assert kms.verify(KeyId=key, Signature=signature, **ASKED)["SignatureValid"] is True
    another = ASKED | {"Message": hashlib.sha256(b"another").digest()}
    for asked in (
        {"KeyId": other, "Signature": signature, **ASKED},
        {"KeyId": key, "Signature": signature, **another},
        {"KeyId": key, "Signature": b"no signature", **ASKED},
    ):
        with pytest.raises(kms.exceptions.KMSInvalidSignatureException):
            kms.verify(**asked)


def test_what_is_no_digest_and_what_is_not_for_signing_is_refused(client: Callable[[str], Any]) -> None:
    kms = client("kms")
    with pytest.raises(kms.exceptions.InvalidKeyUsageException):
        kms.sign(KeyId=create_key(kms, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"), **ASKED)
    with pytest.raises(ClientError, match="Digest is invalid length"):
        kms.sign(KeyId=create_key(kms), **ASKED | {"Message": MESSAGE})
    with pytest.raises(kms.exceptions.NotFoundException):
        kms.sign(KeyId="alias/of-none", **ASKED)
