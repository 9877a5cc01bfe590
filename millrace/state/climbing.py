"""Which version stands on a phase of its release that watches it: item `climb`.

    climb = {"execution": {"S": "arn:…:execution:…-release:7f"}, "version": {"S": "3"}, "phase": {"S": "shadow"},
             "since": {"S": "1997-06-01T06:00:00Z"}}

The item only shows the way. Whoever finds it asks for the lease `release`: the execution that has it is the one that
climbs, and an item of another execution is left over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from millrace.state.table import StateTable
from millrace.timestamps import format_utc, parse_utc

if TYPE_CHECKING:
    from millrace.workload.rollout import Phase

KEY = "climb"


@dataclass(frozen=True, kw_only=True)
class Climbing:
    """A version on a phase."""

    execution: str
    """The ARN of the release."""
    version: str
    phase: Phase
    since: datetime


class ClimbingVersion:
    """The workload's item in the state table."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def read(self) -> Climbing | None:
        """The version that was put last; None if none stands on a phase."""
        item = self._table.get(KEY)
        if not item:
            return None
        text: dict[str, Any] = {name: item[name]["S"] for name in ("execution", "version", "phase")}
        return Climbing(**text, since=parse_utc(item["since"]["S"]))

    def put(self, climbing: Climbing) -> None:
        """Write that this version stands there."""
        self._table.put(
            KEY,
            {
                "execution": {"S": climbing.execution},
                "version": {"S": climbing.version},
                "phase": {"S": climbing.phase},
                "since": {"S": format_utc(climbing.since)},
            },
        )

    def remove(self, execution: str) -> None:
        """Remove the item, unless another execution has put one since."""
        self._table.delete(KEY, "execution = :own", {":own": {"S": execution}})
