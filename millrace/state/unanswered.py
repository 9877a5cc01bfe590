"""Alarms on which nobody has acted yet: items `unanswered#<alarm>`.

    unanswered#error = {"since": {"S": "1997-06-01T07:00:00Z"}, "told": {"N": "2"}}
    unanswered#error = {"since": {"S": "1997-06-01T07:00:00Z"}, "told": {"N": "2"}, "by": {"S": "arn:…:user/ann"}}

The sweep makes an item when it finds the alarm raised, counts the reminders in it, and deletes it when the alarm is
over. `by` is the person who has acknowledged it: then nobody is reminded any more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from millrace.state.table import StateTable
from millrace.timestamps import format_utc, parse_utc

PREFIX = "unanswered#"


@dataclass(frozen=True, kw_only=True)
class UnansweredAlarm:
    """What is known of a raised alarm."""

    since: datetime
    """When it was first found raised."""
    told: int = 0
    """The number of reminders."""
    by: str = ""
    """Identity of the person who has acknowledged it; empty if nobody has."""


class UnansweredAlarms:
    """The workload's items, by the alarm's name without the workload's prefix."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def find(self) -> dict[str, UnansweredAlarm]:
        return {
            alarm: UnansweredAlarm(
                since=parse_utc(item["since"]["S"]), told=int(item["told"]["N"]), by=item.get("by", {}).get("S", "")
            )
            for alarm, item in self._table.items(PREFIX).items()
        }

    def begin(self, alarm: str, *, as_of: datetime) -> UnansweredAlarm:
        """Note that the alarm was found raised. One that is noted already stays as it is."""
        item = {"since": {"S": format_utc(as_of)}, "told": {"N": "0"}}
        self._table.put(f"{PREFIX}{alarm}", item, "attribute_not_exists(pk)")
        return UnansweredAlarm(since=as_of)

    def remind(self, alarm: str, *, told: int) -> None:
        """Count a reminder: there are `told` of them now."""
        self._table.update(
            f"{PREFIX}{alarm}", "SET told = :told", {":told": {"N": str(told)}}, condition="attribute_exists(pk)"
        )

    def acknowledge(self, alarm: str, *, by: str, as_of: datetime) -> None:
        """Note who has acknowledged the alarm, also before the sweep has found it raised."""
        self.begin(alarm, as_of=as_of)
        attributes = {"#by": "by"}
        self._table.update(f"{PREFIX}{alarm}", "SET #by = :by", {":by": {"S": by}}, attributes=attributes)

    def end(self, alarm: str) -> None:
        """The alarm is over."""
        self._table.delete(f"{PREFIX}{alarm}", "attribute_exists(pk)")
