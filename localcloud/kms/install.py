"""AWS KMS: signatures by an asymmetric key. One stands beside each model version.

AWS does: sign a message, or with MessageType DIGEST its digest. Verify refuses a signature that the key has not made
    (KMSInvalidSignatureException).
moto does: sign the base64 text of the message whatever its type, which nobody else can verify. Verify answers false.
We do: sign and verify the digest with the private half of the key, which moto keeps.
Weaker: only digests, and only keys of the kind ECC_NIST_P256. No key encrypts anything.
"""

from __future__ import annotations

import base64
import json
from importlib import import_module
from typing import Any

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.patching import replace

# Signs and verifies digests as AWS does, so that anybody with the public key can verify a signature too.

COVERED = {"MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
"""The only values of these members of a request that are covered."""
DIGEST_BYTES = 32
"""The length of a digest of SHA-256."""


def sign_digests() -> None:
    """Answer Sign and Verify. May go when moto signs the digest itself, and Verify refuses a wrong signature."""
    replace(import_module("moto.kms.responses").KmsResponse, sign=_sign, verify=_verify)


def _sign(response: Any) -> str:
    key, digest = _request(response)
    signature = _private(key).sign(digest, _ecdsa())
    return _answer(key, Signature=base64.b64encode(signature).decode())


def _verify(response: Any) -> str:
    from cryptography.exceptions import InvalidSignature
    from moto.core.exceptions import JsonRESTError

    key, digest = _request(response)
    signature = base64.b64decode(json.loads(response.body)["Signature"])
    try:
        _private(key).public_key().verify(signature, digest, _ecdsa())
    except InvalidSignature:
        raise JsonRESTError("KMSInvalidSignatureException", "") from None
    return _answer(key, SignatureValid=True)


def _request(response: Any) -> tuple[Any, bytes]:
    """The key and the digest of a request.

    Raises moto's errors, as AWS does, for an unknown key, a key of another usage or a digest of another length.
    Raises NotImplementedError for what is not covered."""
    from moto.kms.exceptions import InvalidKeyUsageException, ValidationException

    asked = json.loads(response.body)
    response._validate_key_id(asked["KeyId"])
    key = response.kms_backend.describe_key(asked["KeyId"])
    if key.key_usage != "SIGN_VERIFY":
        raise InvalidKeyUsageException
    came = {name: asked.get(name) for name in COVERED}
    if came != COVERED or key.key_spec != "ECC_NIST_P256":
        raise NotImplementedError(f"kms: expected {COVERED} by ECC_NIST_P256, got {came} by {key.key_spec}")
    digest = base64.b64decode(asked["Message"])
    if len(digest) != DIGEST_BYTES:
        raise ValidationException(f"Digest is invalid length for algorithm {COVERED['SigningAlgorithm']}.")
    return key, digest


def _private(key: Any) -> Any:
    # moto's key has moto's own wrapper, which has the key of the package `cryptography`.
    return key.private_key.private_key


def _ecdsa() -> Any:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    # Prehashed: the message is a digest already and is not hashed again.
    return ec.ECDSA(utils.Prehashed(hashes.SHA256()))


def _answer(key: Any, **fields: Any) -> str:
    return json.dumps({"KeyId": key.arn, "SigningAlgorithm": COVERED["SigningAlgorithm"], **fields})


def install(_: Cloud) -> None:
    sign_digests()
