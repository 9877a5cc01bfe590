"""Reads JSON of a caller or of a file strictly: each field once, and no constants that JSON does not have."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NoReturn

UNREADABLE = (ValueError, TypeError, RecursionError)
"""What `parse` raises for a text that is no JSON."""


def parse(text: str | bytes) -> Any:
    """The document. Raises one of UNREADABLE for any other text, and for a field that comes twice in one object."""
    return json.loads(text, object_pairs_hook=_fields, parse_constant=no_constant)


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The fields of an object. Raises ValueError for a field that comes twice: nobody knows which one is meant."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise ValueError(f"the field {next(name for name, count in counts.items() if count > 1)!r} twice in one object")
    return fields


def no_constant(name: str) -> NoReturn:
    """Refuses `NaN` and `Infinity`, as json's `parse_constant`."""
    raise ValueError(f"{name}, which is not JSON: null means missing there")
