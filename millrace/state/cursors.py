"""Cursors: the time up to which something is done. Items `cursor#<name>` (window_end).

Those of the monitors are event times:

    cursor#monitor       = {"window_end": {"S": "1997-05-14T00:00:00Z"}}   the input is judged up to here
    cursor#monitor-error = {"window_end": {"S": "1997-04-30T00:00:00Z"}}   errors up to here are settled or given up
    cursor#failed-runs   = {"window_end": {"S": "1997-05-15T06:50:00Z"}}   failures up to here were looked for

Items `source#<name>` are those of the sources, whose values are other systems'.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from millrace.state.item import NEW, Item
from millrace.state.table import StateTable


@dataclass(frozen=True, kw_only=True)
class Cursor(Item, key="cursor#{name}", only_if=f"{NEW} OR window_end < :window_end"):
    """A cursor. It moves forward only: `put` returns whether it moved."""

    name: str
    window_end: datetime

    @classmethod
    def end(cls, table: StateTable, name: str) -> datetime | None:
        """The time up to which all is done. None before the first time."""
        cursor = cls.find(table, name)
        return cursor.window_end if cursor else None


@dataclass(frozen=True, kw_only=True)
class SourceCursor(Item, key="source#{name}", only_if=f"{NEW} OR drops < :drops"):
    """Up to where the rows of a source are dropped. It moves forward only."""

    name: str
    drops: int = 0
    """So many drops are made of them."""
    value: str = ""
    """The cursor's value in the last row, as JSON; empty before the first one."""
    seen: bytes = b""
    """The digests of the rows with that value."""
