"""Alarms on which nobody has acted yet: items `unanswered#<alarm>`.

    unanswered#error = {"since": {"S": "1997-06-01T07:00:00Z"}, "told": {"N": "2"}}
    unanswered#error = {"since": {"S": "1997-06-01T07:00:00Z"}, "told": {"N": "2"}, "by": {"S": "arn:…:user/ann"}}

The sweep makes an item when it finds the alarm raised, counts the reminders in it, and deletes it when the alarm is
over. `by` is the person who has acknowledged it: then nobody is reminded any more."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from millrace.state.item import NEW, TEXT_IF_ANY, Item
from millrace.state.table import StateTable


@dataclass(frozen=True, kw_only=True)
class UnansweredAlarm(Item, key="unanswered#{alarm}", only_if=NEW):
    """What is known of a raised alarm."""

    alarm: str
    """Its name without the workload's prefix."""
    since: datetime
    """When it was first found raised."""
    told: int = 0
    """The number of reminders."""
    by: str = field(default="", metadata={"form": TEXT_IF_ANY})
    """Identity of the person who has acknowledged it; empty if nobody has."""

    def remind(self, table: StateTable) -> None:
        """Count a reminder."""
        table.update(self.sort_key(self.alarm), "SET told = :told", "attribute_exists(pk)", told=self.told + 1)

    def acknowledge(self, table: StateTable, *, by: str) -> None:
        """Note who has acknowledged the alarm, also before the sweep has found it raised."""
        self.put(table)
        table.update(self.sort_key(self.alarm), "SET #by = :by", by=by)

    def end(self, table: StateTable) -> None:
        """The alarm is over."""
        table.delete(self.sort_key(self.alarm), "attribute_exists(pk)")
