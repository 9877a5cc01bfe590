"""The key by which versions are signed, as the platform's stack makes it."""

from __future__ import annotations

from typing import Any

from millrace.names import Platform


def create_signing_key(client: Any, platform: Platform) -> str:
    """The ARN of a new one behind the stage's alias, in place of one that is there; `client` is boto3's KMS client."""
    key = client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
    aliases = [one["AliasName"] for one in client.list_aliases()["Aliases"]]
    put = client.update_alias if platform.signing_key_alias in aliases else client.create_alias
    put(AliasName=platform.signing_key_alias, TargetKeyId=key["KeyId"])
    return str(key["Arn"])
