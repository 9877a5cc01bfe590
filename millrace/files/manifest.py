"""Manifests: JSON lines with cells of images that name objects, each in one version.

Example: `{"id": "a17", "image": {"object": "2024/a17.png", "version_id": "3sL4…"}}`. The object is below
`<workload>/objects/`. Without the version a retried drop could get another image."""

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
"""How many lines of a file are read at once, if its table has images: 4 MiB each, which bounds the memory."""
Fetch = Callable[[str, str], bytes]
"""Fetches the bytes of an object, by its key and version."""
FETCHES_AT_ONCE = 10
"""As many connections as botocore keeps to one host."""
NAMED = b'"version_id"'
"""The bytes that each reference to an object has once, unless they are written in escapes."""


def check_objects(blocks: Iterable[bytes], limits: Limits) -> None:
    """Raise DropError `too_large` if the lines seem to name more than `limits.objects` objects.

    It is called before any object is fetched."""
    if (named := sum(block.count(NAMED) for block in blocks)) > limits.objects:
        raise DropError(Reason.TOO_LARGE, expected=f"{limits.objects} objects at most", got=f"{named}")


def at_most(fetch: Fetch, objects: int) -> Fetch:
    """`fetch` for at most so many objects. For each further one it raises DropError `too_large` and fetches nothing."""
    counted = count(1)  # several threads fetch, and `next` on a count is one step for all of them

    def fetch_counted(key: str, version: str) -> bytes:
        if (number := next(counted)) > objects:
            raise DropError(Reason.TOO_LARGE, expected=f"{objects} objects at most", got=f"object {number}")
        return fetch(key, version)

    return fetch_counted


def fetch_objects(row: dict[str, Any], table: Table, origin: Origin | None) -> RuleViolation | None:
    """The violation of the row's references. None if they are good: its cells then hold the objects in base64."""
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
