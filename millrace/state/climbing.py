"""Which version stands on a phase of its release that watches it: item `climb`.

    climb = {"execution": {"S": "arn:…:execution:…-release:7f"}, "version": {"S": "3"}, "phase": {"S": "shadow"},
             "since": {"S": "1997-06-01T06:00:00Z"}}

The item only shows the way. Whoever finds it asks for the lease `release`: the execution that has it is the one that
climbs, and an item of another execution is left over."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from millrace.state.item import TEXT, Item
from millrace.state.table import StateTable

if TYPE_CHECKING:
    from millrace.workload.rollout import Phase


@dataclass(frozen=True, kw_only=True)
class Climbing(Item, key="climb"):
    """A version on a phase; of two that were put the last. There is no item if none stands on a phase."""

    execution: str
    """The ARN of the release."""
    version: str
    phase: Phase = field(metadata={"form": TEXT})
    since: datetime

    @classmethod
    def remove(cls, table: StateTable, execution: str) -> None:
        """Remove the item, unless another execution has put one since."""
        table.delete(cls.sort_key(), "execution = :own", own=execution)
