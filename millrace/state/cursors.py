"""Cursors: the time up to which something is done. Items `cursor#<name>` (window_end).

Those of the monitors are event times:

    cursor#monitor       = {"window_end": {"S": "1997-05-14T00:00:00Z"}}   the input is judged up to here
    cursor#monitor-error = {"window_end": {"S": "1997-04-30T00:00:00Z"}}   errors up to here are settled or given up
    cursor#failed-runs   = {"window_end": {"S": "1997-05-15T06:50:00Z"}}   failures up to here were looked for
"""

from __future__ import annotations

from datetime import datetime

from millrace.state.table import StateTable
from millrace.timestamps import format_utc, parse_utc


class StoredCursors:
    """The workload's cursors, by name."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def find(self, name: str) -> datetime | None:
        """The time up to which all is done. None before the first time."""
        item = self._table.get(f"cursor#{name}")
        return parse_utc(item["window_end"]["S"]) if item else None

    def advance(self, name: str, *, end: datetime) -> bool:
        """Move the cursor to `end`, unless it is there or further. Returns whether it moved."""
        return self._table.put(
            f"cursor#{name}",
            {"window_end": {"S": format_utc(end)}},
            "attribute_not_exists(pk) OR window_end < :end",
            {":end": {"S": format_utc(end)}},
        )
