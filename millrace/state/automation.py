"""The kill switch of a workload's decisions: item `automation`. Without the item nothing is paused.

    automation = {"paused": {"BOOL": true}, "reason": {"S": "complaints"}, "by": {"S": "arn:…:assumed-role/…/ann"},
                  "since": {"S": "1997-06-01T06:00:00Z"}}

A person writes it, and the last one counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from millrace.state.item import Item
from millrace.state.table import StateTable


@dataclass(frozen=True, kw_only=True)
class Automation(Item, key="automation"):
    """Whether answers may act, and who said so last."""

    is_paused: bool = field(default=False, metadata={"attribute": "paused"})
    reason: str = ""
    """In the person's words; empty without any."""
    by: str = ""
    """Identity of the person; empty if nobody has ever paused it."""
    since: datetime | None = None

    @classmethod
    def read(cls, table: StateTable) -> Automation:
        """The switch as it is."""
        return cls.find(table) or cls()
