"""SageMaker's answer for something that does not exist: mostly a ValidationException, recognised by its message."""

from __future__ import annotations

from botocore.exceptions import ClientError


def could_not_find(error: ClientError) -> bool:
    """Whether an endpoint, configuration, model or job of that name was not found."""
    told = error.response["Error"]
    message = told.get("Message", "").lower()
    return told["Code"] == "ResourceNotFound" or "could not find" in message or "resource not found" in message
