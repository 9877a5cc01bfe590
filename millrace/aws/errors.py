"""How SageMaker says that something is not there: a ValidationException like any other, told apart by its words."""

from __future__ import annotations

from botocore.exceptions import ClientError


def could_not_find(error: ClientError) -> bool:
    """Whether an endpoint, configuration, model or job of that name was not found."""
    return "could not find" in error.response["Error"].get("Message", "").lower()
