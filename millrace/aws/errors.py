"""How AWS's services say that something is not there: SageMaker mostly by a ValidationException's message."""

from __future__ import annotations

from botocore.exceptions import ClientError

CODES = {"EntityNotFoundException", "ObjectNotFoundException", "ResourceNotFound", "ResourceNotFoundException"}


def is_not_found(error: ClientError) -> bool:
    """Whether an endpoint, configuration, model or job of that name was not found."""
    told = error.response["Error"]
    message = told.get("Message", "").lower()
    return told["Code"] == "ResourceNotFound" or "could not find" in message or "resource not found" in message


def is_absent(error: ClientError) -> bool:
    """Whether a deletion, of any service, failed because what it names is gone already, which is as good."""
    said = error.response["Error"]
    return said["Code"] in CODES or is_not_found(error) or "does not exist" in said.get("Message", "").lower()
