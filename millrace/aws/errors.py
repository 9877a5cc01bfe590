"""SageMaker's answer for something that does not exist: a ValidationException, recognised by its message."""

from __future__ import annotations

from botocore.exceptions import ClientError


def could_not_find(error: ClientError) -> bool:
    """Whether an endpoint, configuration, model or job of that name was not found."""
    return "could not find" in error.response["Error"].get("Message", "").lower()
