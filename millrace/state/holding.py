"""A slot or a lease with its holder, as the sweep looks at it.

An execution that was never started does not end, so `cleanup` does not free what it holds. The sweep does, but only if
it misses the execution twice: a slot is taken before its execution is started, so the first time may be too early.

    07:00  no execution of the holder is found            mark_missing: the item keeps the mark 07:00
    08:00  none is found again, and the mark is 07:00     free_missing: the slot is free

If the holder takes its slot again in between, `take` removes the mark, and the sweep of 08:00 marks the holding anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Holding:
    """One slot or lease that is held."""

    key: str
    """The sort key of the item: `slots#ingest-labels`, `lease#release`."""
    holder: str
    """The ARN of an execution. Of a lease it may be another text (`millrace.state.leases.Lease`)."""
    missing_since: datetime | None = None
    """When a sweep first found no execution of the holder. None if no sweep has missed it since the holder took it."""


class Holdings(Protocol):
    """The methods of `Slots` and `Leases` that the sweep calls."""

    def holdings(self) -> list[Holding]:
        """Everything that is held."""

    def mark_missing(self, holding: Holding, *, as_of: datetime) -> bool:
        """Note in the item that the holder has no execution. A mark that is there already keeps its time.

        Returns whether a mark was written: False if there is one, or if the holder holds nothing any more."""

    def free_missing(self, holding: Holding) -> bool:
        """Free a marked holding. Returns whether it was freed.

        False if it has no mark, or if the holder has freed it or taken it again since the mark was read."""
