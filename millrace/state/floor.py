"""Whether a version is below its floor, so that the naive rule answers in its place: item `floor#<version>`.

    floor#3 = {"below": {"BOOL": true}, "since": {"S": "1997-06-01T06:00:00Z"}, "as_of": {"S": "1997-06-08T06:00:00Z"},
               "awaits_labels": {"BOOL": false},
               "days": {"S": "[{\\"day\\": \\"1997-05-30\\", \\"labels\\": 48, \\"own\\": 31.0, \\"rule\\": 14.0}]"}}

The monitor writes it, and the guard after an alarm without labels if the workload declares so. Without the item the
version answers: the gate `baseline` has held each version against the rule before it went live. A version that comes
back by a rollback is below its floor if it was when it went."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from millrace.messages.monitor import FloorDay
from millrace.state.table import StateTable
from millrace.timestamps import format_utc, parse_utc

PREFIX = "floor#"


@dataclass(frozen=True, kw_only=True)
class FloorState:
    """What the monitor has judged last."""

    version: str
    below: bool
    since: datetime
    """When the monitor said so first, by the time that counted in its run."""
    as_of: datetime
    """The time that counted in the run which judged last."""
    days: tuple[FloorDay, ...]
    """The days whose labels it compared last."""
    awaits_labels: bool = False
    """Whether no label has decided: the rule answers since an alarm, until labels of that time or the alarm's end."""

    def labels_since(self, start: datetime) -> int:
        """How many labels of rows from the day of `start` on were compared."""
        return sum(one.labels for one in self.days if one.day >= start.date().isoformat())


class FloorStates:
    """The workload's items in the state table."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def read(self, version: str) -> FloorState | None:
        """What was judged of this version; None if nothing was."""
        item = self._table.get(f"{PREFIX}{version}")
        if not item:
            return None
        return FloorState(
            version=version,
            below=item["below"]["BOOL"],
            since=parse_utc(item["since"]["S"]),
            as_of=parse_utc(item["as_of"]["S"]),
            awaits_labels=item.get("awaits_labels", {}).get("BOOL", False),
            days=tuple(FloorDay(**one) for one in json.loads(item["days"]["S"])),
        )

    def put(self, state: FloorState) -> bool:
        """Write the judgement. False, and nothing is written, if a later run has written one."""
        as_of = {"S": format_utc(state.as_of)}
        return self._table.put(
            f"{PREFIX}{state.version}",
            {
                "below": {"BOOL": state.below},
                "since": {"S": format_utc(state.since)},
                "as_of": as_of,
                "awaits_labels": {"BOOL": state.awaits_labels},
                "days": {"S": json.dumps([one.model_dump() for one in state.days])},
            },
            "attribute_not_exists(pk) OR as_of <= :as_of",
            {":as_of": as_of},
        )
