"""How far a monitor has come in event time, and the sweep in time: items `cursor#<name>` (window_end)."""

from __future__ import annotations

from datetime import datetime

from millrace.state.table import StateTable
from millrace.timestamps import format_utc, parse_utc


class StoredCursors:
    """The workload's cursors by name: `monitor`, `monitor-error`, `failed-runs`."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def find(self, name: str) -> datetime | None:
        """The end of what was done last; None before the first time."""
        item = self._table.get(f"cursor#{name}")
        return parse_utc(item["window_end"]["S"]) if item else None

    def advance(self, name: str, *, end: datetime) -> bool:
        """Whether the cursor moved; it never goes back."""
        return self._table.put(
            f"cursor#{name}",
            {"window_end": {"S": format_utc(end)}},
            "attribute_not_exists(pk) OR window_end < :end",
            {":end": {"S": format_utc(end)}},
        )
