"""Errors of AWS that a caller expects. Needs botocore, which the image of the processing jobs does not list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def passed_over(is_expected: Callable[[Any], bool]) -> Iterator[None]:
    """The block ends at an error of AWS that `is_expected`. Any other is raised."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if not is_expected(error):
            raise


def has_code(*codes: str) -> Callable[[Any], bool]:
    """Whether an error of AWS has one of these codes."""
    return lambda error: error.response["Error"]["Code"] in codes
