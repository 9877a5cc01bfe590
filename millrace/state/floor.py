"""Whether the live version is below its floor, so that the naive rule answers in its place: item `floor`.

    floor = {"version": {"S": "3"}, "below": {"BOOL": true}, "since": {"S": "1997-06-01T06:00:00Z"},
             "days": {"S": "[{\\"day\\": \\"1997-05-30\\", \\"labels\\": 48, \\"own\\": 31.0, \\"rule\\": 14.0}]"}}

The monitor writes it. Without the item, or for another version, the version answers: the gate `baseline` has held each
version against the rule before it went live."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from millrace.messages.monitor import FloorDay
from millrace.state.table import StateTable
from millrace.timestamps import format_utc, parse_utc

KEY = "floor"


@dataclass(frozen=True, kw_only=True)
class FloorState:
    """What the monitor has judged last."""

    version: str
    below: bool
    since: datetime
    """When the monitor said so first, by the time that counted in its run."""
    days: tuple[FloorDay, ...]
    """The days whose labels it compared last."""


class FloorStates:
    """The workload's item in the state table."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def read(self, version: str) -> FloorState | None:
        """What was judged of this version; None if nothing was."""
        item = self._table.get(KEY)
        if not item or item["version"]["S"] != version:
            return None
        return FloorState(
            version=version,
            below=item["below"]["BOOL"],
            since=parse_utc(item["since"]["S"]),
            days=tuple(FloorDay(**one) for one in json.loads(item["days"]["S"])),
        )

    def put(self, state: FloorState) -> None:
        """Write the item, whatever it was."""
        self._table.put(
            KEY,
            {
                "version": {"S": state.version},
                "below": {"BOOL": state.below},
                "since": {"S": format_utc(state.since)},
                "days": {"S": json.dumps([one.model_dump() for one in state.days])},
            },
        )
