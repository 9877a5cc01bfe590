"""AWS KMS: signatures by an asymmetric key. One stands beside each model version.

AWS does: sign a message, or with MessageType DIGEST its digest. Verify refuses a signature that the key has not made
    (KMSInvalidSignatureException).
moto does: sign the base64 text of the message whatever its type, which nobody else can verify. Verify answers false.
We do: sign and verify the digest with the private half of the key, which moto keeps.
Weaker: only digests, and only keys of the kind ECC_NIST_P256. No key encrypts anything.
"""

from localcloud.kernel.cloud import Cloud
from localcloud.kms.signatures import sign_digests


def install(_: Cloud) -> None:
    sign_digests()
