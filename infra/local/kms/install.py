"""AWS KMS: signatures by an asymmetric key, which stand beside each model version.

AWS does: sign the message, or with MessageType DIGEST what is its digest already; Verify refuses a signature that the
    key did not make (KMSInvalidSignatureException).
moto does: sign the message's base64 text whatever its type, which nobody else can verify, and answer false.
We do: sign and verify the digest by the key's own private half, which moto keeps.
Weaker: keys of ECC_NIST_P256 only, digests only; nothing is encrypted by any key.
"""

from infra.local.kernel.cloud import Cloud
from infra.local.kms.signatures import sign_digests


def install(_: Cloud) -> None:
    sign_digests()
