"""How AWS's services say that something is not there."""

from __future__ import annotations

from botocore.exceptions import ClientError

from millrace.aws.errors import could_not_find

CODES = {"EntityNotFoundException", "ObjectNotFoundException", "ResourceNotFound", "ResourceNotFoundException"}


def is_absent(error: ClientError) -> bool:
    """Whether the call failed because what it names is gone already, which is as good."""
    said = error.response["Error"]
    return said["Code"] in CODES or could_not_find(error) or "does not exist" in said.get("Message", "").lower()
