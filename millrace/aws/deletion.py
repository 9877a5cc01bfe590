"""Deletes several resources of one kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from millrace.aws.errors import is_absent


def delete_each(
    kind: str, found: Iterable[str], call: Callable[..., Any], *, parameter: str, at_most: int
) -> list[str]:
    """Delete the first `at_most` resources of `found`, and return them as `<kind> <name>`.

    `call` deletes one resource; `parameter` is its argument for the name. A resource that is gone already counts as
    deleted."""
    # List all names before the first deletion: `found` is mostly a paginated listing, and a deletion shifts its pages.
    names = list(islice(found, at_most))
    for name in names:
        try:
            call(**{parameter: name})
        except ClientError as error:
            if not is_absent(error):
                raise
    return [f"{kind} {name}" for name in names]
