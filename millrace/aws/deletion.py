"""Deletion of several things of one kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from millrace.aws.errors import is_absent


def delete_each(
    kind: str, found: Iterable[str], call: Callable[..., Any], *, parameter: str, at_most: int
) -> list[str]:
    """The first `at_most` of them, deleted, as `<kind> <name>`; what is gone already counts as deleted.

    All are listed before the first is deleted, since a deletion shifts the pages of a listing."""
    names = list(islice(found, at_most))
    for name in names:
        try:
            call(**{parameter: name})
        except ClientError as error:
            if not is_absent(error):
                raise
    return [f"{kind} {name}" for name in names]
