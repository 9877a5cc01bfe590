"""A slot or a lease with its holder, as the sweep looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Holding:
    """Who holds what, and whether a sweep has missed the holder before."""

    key: str
    """Sort key of the item: `slots#ingest`, `lease#release`."""
    holder: str
    """ARN of an execution."""
    missing_since: datetime | None = None
    """When a sweep first found no execution of this ARN; None where none did since the holder took it."""


class Holdings(Protocol):
    """What `Slots` and `Leases` offer to the sweep."""

    def holdings(self) -> list[Holding]:
        """Everything that is held."""

    def mark_missing(self, holding: Holding, *, as_of: datetime) -> bool:
        """Note that the holder has no execution; False where it has let go or taken it again meanwhile."""

    def free_missing(self, holding: Holding) -> bool:
        """Release a holding that is marked; False where the holder has let go or taken it again since the mark."""
