"""The words for a client whose body or row is not answered."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any


class Refused(Exception):  # noqa: N818 it is told to the client, nothing failed here
    """The body is not what it should be, so nothing of it is answered. `status` is a 4xx."""

    def __init__(self, error: str, *, expected: str, came: str, where: str, status: int = 400) -> None:
        self.error, self.expected, self.came, self.where, self.status = error, expected, came, where, status
        super().__init__(f"{where}: {error}: expected {expected}, got {came}")


Rejection = Mapping[str, str]
"""Why a row has no answer, with the names of `millrace.artefact.batch.REASON`:
`{"column": "price", "expected": "a finite number of float32", "came": "null"}`."""


class Untaken(Exception):  # noqa: N818 it is told to the client, nothing failed here
    """One row has a cell that the model does not take. The rows beside it are answered."""

    def __init__(self, column: str, *, expected: str, came: str) -> None:
        self.reason: Rejection = {"column": column, "expected": expected, "came": came}
        super().__init__(f"{column}: expected {expected}, got {came}")


def describe(value: Any) -> str:
    """A value in a few words: `"abc"`, `1.5`, `12 bytes`, `a list`."""
    if value is None or isinstance(value, bool | int | float | str):
        return json.dumps(value)[:80] if not isinstance(value, int) or abs(value) < 10**30 else "a huge number"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return "a list" if isinstance(value, list) else "an object"


def describe_image(value: object) -> str:
    """An image that cannot be decoded, by its header: `a PNG of 64 x 64 pixels, 3 x 8 bits, 812 bytes`.

    Neither its bytes nor their base64 say anything to a person."""
    from millrace.contract.rules.image import describe as by_header

    try:
        content = base64.b64decode(value, validate=True) if isinstance(value, str) else value
    except ValueError:
        return f"{len(str(value))} characters that are no base64"
    return by_header(content) if isinstance(content, bytes) else describe(value)
