"""How AWS's services say that something is not there."""

from __future__ import annotations

from botocore.exceptions import ClientError

CODES = {"EntityNotFoundException", "ObjectNotFoundException", "ResourceNotFound", "ResourceNotFoundException"}
WORDS = ("could not find", "does not exist")
"""SageMaker answers with a ValidationException and says it in words."""


def is_absent(error: ClientError) -> bool:
    """Whether the call failed because what it names is gone already, which is as good."""
    said = error.response["Error"]
    return said["Code"] in CODES or any(word in said.get("Message", "").lower() for word in WORDS)
