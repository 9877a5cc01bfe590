"""Turns a place in the document of a contract into names, for errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from millrace.errors import WorkloadError

PLACE = re.compile(r"schema\.(\d+)(?:\.properties\.(\d+))?(?:\.(.+))?")
"""A place in the document, such as `schema.0.properties.8.customProperties.missingValues`."""


@contextmanager
def named_places(document: Mapping[str, Any]) -> Iterator[None]:
    """Within the block, a WorkloadError names tables and columns instead of their numbers in the document."""
    try:
        yield
    except WorkloadError as error:
        field = named_place(error.field, document)
        raise WorkloadError(where=error.where, field=field, expected=error.expected, came=error.came) from None


def named_place(place: str, document: Mapping[str, Any]) -> str:
    """The place with names in place of numbers; a place that is not found in the document stays as it is.

    `schema.0.properties.8.customProperties.missingValues` becomes ``schema.rows, column `Rating`, missingValues``."""
    found = PLACE.fullmatch(place)
    table = _entry(document.get("schema"), found[1]) if found else None
    if found is None or table is None:
        return place
    column = _entry(table.get("properties"), found[2])
    if found[2] is not None and column is None:
        return place
    word = re.sub(r"^(customProperties|logicalTypeOptions)\.(?=\D)", "", found[3] or "")
    return ", ".join(filter(None, (f"schema.{table['name']}", f"column `{column['name']}`" if column else "", word)))


def _entry(entries: object, number: str | None) -> dict[str, Any] | None:
    """The entry of this number in a list of objects; None if it is not there or has no name."""
    if not isinstance(entries, list) or number is None or int(number) >= len(entries):
        return None
    entry = entries[int(number)]
    return entry if isinstance(entry, dict) and isinstance(entry.get("name"), str) else None
