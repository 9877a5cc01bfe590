"""Recognises the errors by which AWS's services say that a resource does not exist.

SageMaker mostly says it by the message of a ValidationException, so messages are compared too."""

from __future__ import annotations

from botocore.exceptions import ClientError

CODES = {"EntityNotFoundException", "ObjectNotFoundException", "ResourceNotFound", "ResourceNotFoundException"}


def is_not_found(error: ClientError) -> bool:
    """Whether SageMaker found no endpoint, configuration, model or job of that name."""
    told = error.response["Error"]
    message = told.get("Message", "").lower()
    return told["Code"] == "ResourceNotFound" or "could not find" in message or "resource not found" in message


def is_absent(error: ClientError) -> bool:
    """Whether a deletion in any service failed because the resource does not exist. That is as good as deleted."""
    said = error.response["Error"]
    return said["Code"] in CODES or is_not_found(error) or "does not exist" in said.get("Message", "").lower()
