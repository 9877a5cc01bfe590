"""Deletes several resources of one kind, or objects, and recognises the errors that say that one does not exist.

SageMaker mostly says it by the message of a ValidationException, so messages are compared too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from millrace.aws.errors import passed_over


def delete_each(
    kind: str, found: Iterable[str], call: Callable[..., Any], *, parameter: str, at_most: int
) -> list[str]:
    """Delete the first `at_most` resources of `found`, and return them as `<kind> <name>`.

    `call` deletes one resource; `parameter` is its argument for the name. A resource that is gone already counts as
    deleted."""
    # List all names before the first deletion: `found` is mostly a paginated listing, and a deletion shifts its pages.
    names = list(islice(found, at_most))
    for name in names:
        with passed_over(is_absent):
            call(**{parameter: name})
    return [f"{kind} {name}" for name in names]


def delete_keys(client: Any, bucket: str, keys: Iterable[str]) -> None:
    """Delete the objects, a thousand with each call. Raises ClientError if S3 refuses one of them."""
    wanted = list(keys)
    for first in range(0, len(wanted), 1000):
        named = [{"Key": key} for key in wanted[first : first + 1000]]
        if errors := client.delete_objects(Bucket=bucket, Delete={"Objects": named, "Quiet": True}).get("Errors"):
            raise ClientError({"Error": errors[0]}, "DeleteObjects")


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
