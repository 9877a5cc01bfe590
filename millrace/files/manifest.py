"""A manifest: JSON lines whose image cells name objects, each at one version.

Example: `{"id": "a17", "image": {"object": "2024/a17.png", "version_id": "3sL4…"}}`, the object lying below
`<workload>/objects/`. Without the version a retried drop could see another image."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from millrace.contract.kinds import to_base64
from millrace.contract.reasons import Reason
from millrace.contract.schema import Table
from millrace.contract.violation import RuleViolation
from millrace.errors import DropError
from millrace.files.origin import Origin, image_columns
from millrace.files.parsed import Limits

LINES_PER_PART = 32
"""Of a file whose table has images: 4 MiB each, they bound the memory."""
Fetch = Callable[[str, str], bytes]
FETCHES_AT_ONCE = 10
"""As many connections as botocore keeps to one host."""
NAMED = b'"version_id"'
"""Each reference has it once, unless it is written in escapes."""


def check_objects(blocks: Iterable[bytes], limits: Limits) -> None:
    """Raises DropError `too_large` where the lines may name more objects than can be fetched: before any is."""
    if (named := sum(block.count(NAMED) for block in blocks)) > limits.objects:
        raise DropError(Reason.TOO_LARGE, expected=f"{limits.objects} objects at most", got=f"{named}")


def at_most(fetch: Fetch, objects: int) -> Fetch:
    """The same for so many objects; for each further one it raises DropError `too_large`, and fetches nothing."""
    counted = count(1)

    def fetch_counted(key: str, version: str) -> bytes:
        if (number := next(counted)) > objects:
            raise DropError(Reason.TOO_LARGE, expected=f"{objects} objects at most", got=f"object {number}")
        return fetch(key, version)

    return fetch_counted


def fetch_objects(row: dict[str, Any], table: Table, origin: Origin | None) -> RuleViolation | None:
    """What is wrong with the row's references; else None, and the cells hold the objects' bytes as base64."""
    for column in image_columns(table):
        cell = row.get(column.name)
        if not isinstance(cell, dict):
            continue
        named = {name: value for name, value in cell.items() if isinstance(value, str) and value}
        if set(cell) != {"object", "version_id"} or len(named) != 2 or origin is None:
            continue  # refused as a cell of another type
        try:
            row[column.name] = to_base64(origin.fetch(named["object"], named["version_id"]))
        except DropError as error:
            return RuleViolation(reason=error.reason, column=column.name, expected=error.expected, got=error.got)
    return None
