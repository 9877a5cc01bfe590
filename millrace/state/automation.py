"""The kill switch of a workload's decisions: item `automation`. Without the item nothing is paused.

    automation = {"paused": {"BOOL": true}, "reason": {"S": "complaints"}, "by": {"S": "arn:…:assumed-role/…/ann"},
                  "since": {"S": "1997-06-01T06:00:00Z"}}

A person writes it, and the last one counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from millrace.state.table import StateTable
from millrace.timestamps import format_utc, parse_utc

KEY = "automation"


@dataclass(frozen=True, kw_only=True)
class Automation:
    """Whether answers may act, and who said so last."""

    is_paused: bool = False
    reason: str = ""
    """In the person's words; empty without any."""
    by: str = ""
    """Identity of the person; empty if nobody has ever paused it."""
    since: datetime | None = None


class AutomationSwitch:
    """The workload's switch in the state table."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def read(self) -> Automation:
        item = self._table.get(KEY)
        if not item:
            return Automation()
        return Automation(
            is_paused=item["paused"]["BOOL"],
            reason=item["reason"]["S"],
            by=item["by"]["S"],
            since=parse_utc(item["since"]["S"]),
        )

    def set(self, *, paused: bool, reason: str, by: str, at: datetime) -> None:
        """Write the switch, whatever it was."""
        self._table.put(
            KEY,
            {"paused": {"BOOL": paused}, "reason": {"S": reason}, "by": {"S": by}, "since": {"S": format_utc(at)}},
        )
