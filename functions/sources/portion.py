"""The rows of one drop: those that come after a cursor, in its order, and the cursor behind them."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from millrace.errors import SourceError
from millrace.state.cursors import SourceCursor
from millrace.timestamps import parse_utc

MOST_ROWS, MOST_BYTES = 10_000, 16 * 2**20
"""The most rows of a drop, and bytes."""
MOST_LINE = 2**20
"""The most bytes of a row, as ingestion reads lines."""
MOST_EQUAL = 20_000
"""The most rows with one value of the cursor: an item of DynamoDB, which has 400 KB, holds a digest of each."""
DIGEST = 8
"""The bytes of a digest."""
TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")


@dataclass(frozen=True, kw_only=True)
class Portion:
    """The rows as JSON lines, in the order of the cursor."""

    body: bytes
    value: str
    """The cursor's value in the last row, as JSON."""
    equal: int
    """So many rows have that value."""
    is_last: bool
    """Whether no row was left behind them."""

    def move(self, cursor: SourceCursor) -> SourceCursor:
        """The cursor behind these rows. Raises SourceError if too many rows have its value."""
        digests = b"".join(map(_digest, self.body.splitlines()[-self.equal :]))
        seen = (cursor.seen if _place(cursor.value) == _place(self.value) else b"") + digests
        if len(seen) > MOST_EQUAL * DIGEST:
            expected, came = f"at most {MOST_EQUAL:,} rows with one value of the cursor", f"more with {self.value}"
            raise SourceError(cursor.name, "rows", expected, came)
        return replace(cursor, value=self.value, seen=seen, drops=cursor.drops + 1)


def take(rows: Iterable[Mapping[str, Any]], cursor: SourceCursor, column: str, *, is_kept: bool) -> Portion | None:
    """The first rows that the cursor has not passed; None if there are none. Their lines have `column` if it `is_kept`.

    Raises SourceError for a row without a number or a time in `column`, and for rows in another order if they are too
    many for one drop: those that are left must come after these."""
    taken: list[tuple[Any, str, bytes]] = []
    after = _place(cursor.value)
    kind = after[0] if after else ""
    seen = {cursor.seen[at : at + DIGEST] for at in range(0, len(cursor.seen), DIGEST)}
    size = 0
    for row in rows:
        value = json.dumps(row.get(column))
        place = _place(value)
        if place is None or place[0] != (kind or place[0]):
            raise SourceError(cursor.name, column, f"a {kind or 'number or a time'} in each row", value[:80])
        kind = place[0]
        line = json.dumps({name: cell for name, cell in row.items() if is_kept or name != column}).encode()
        if len(line) > MOST_LINE:
            expected = f"a row of at most {MOST_LINE:,} bytes"
            raise SourceError(cursor.name, "rows", expected, f"{len(line):,} where {column} is {value}")
        if after and (place < after or (place == after and _digest(line) in seen)):
            continue
        taken.append((place, value, line))
        size += len(line) + 1
        if len(taken) > MOST_ROWS or size > MOST_BYTES:
            break
    is_cut = len(taken) > MOST_ROWS or size > MOST_BYTES
    if is_cut:
        for (before, _, _), (place, value, _) in pairwise(taken):
            if place < before:
                expected = f"rows in the order of {column}, since they are more than one drop has"
                raise SourceError(cursor.name, column, expected, f"{value} behind a later one")
        taken.pop()
    if not taken:
        return None
    taken.sort(key=lambda one: one[0])
    last, value, _ = taken[-1]
    return Portion(
        body=b"".join(line + b"\n" for _, _, line in taken),
        value=value,
        equal=sum(place == last for place, _, _ in taken),
        is_last=not is_cut,
    )


def _place(value: str) -> tuple[str, Any] | None:
    """The kind of a cursor's value, and where it stands among others of that kind. None for any other JSON."""
    found = json.loads(value) if value else None
    if isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found):
        return "number", found
    if isinstance(found, str) and TIME.fullmatch(found):
        with suppress(ValueError):
            return "time", parse_utc(found)
    return None


def _digest(line: bytes) -> bytes:
    return hashlib.sha256(line).digest()[:DIGEST]
