"""The drops that wait for a person, or waited: item `held#<drop id>`. Rows are held as labels are.

    held#5d7c39d7b8804f07 = {"object": {"S": "{\"key\": \"electricity/labels/june.csv\", …}"},
        "because": {"SS": ["41 of 48 labels contradict …"]}, "rows": {"N": "48"}, "held_at": {"S": "1997-07-01T…Z"},
        "status": {"S": "waiting"}}

Nothing of a held drop is in a table. A person who accepts it starts `ingest` for the same object again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from millrace.messages.ingest import DropGroup, DropObject
from millrace.state.item import NEW, TEXT, TEXT_IF_ANY, Form, Item
from millrace.state.table import Attribute, StateTable, Value, delete_after

HeldStatus = Literal["waiting", "accepted", "refused", "judged"]
"""`judged`: it came before its decisions, or was judged again, and it fits."""
DAY = timedelta(days=1)
OBJECT = Form(DropObject.model_validate_json, DropObject.model_dump_json)


@dataclass(frozen=True, kw_only=True)
class HeldDrop(Item, key="held#{drop_id}", only_if=f"{NEW} OR #status = :status"):
    """A drop that was held. To put it again changes nothing if a person has decided."""

    drop_id: str
    object: DropObject = field(metadata={"form": OBJECT})
    because: tuple[str, ...]
    """A sentence for each reason."""
    rows: int
    """New labels, or rows that keep the contract."""
    held_at: datetime
    """When the object came."""
    sent_by: str = ""
    """As `ParsedDrop.by`."""
    is_early: bool = False
    """Whether it waits for decisions. Each monitor run has it looked at again."""
    status: HeldStatus = field(default="waiting", metadata={"form": TEXT})
    by: str = field(default="", metadata={"form": TEXT_IF_ANY, "attribute": "decided_by"})
    """Identity of the person who has accepted or refused it; empty while it waits."""
    reason: str = field(default="", metadata={"form": TEXT_IF_ANY})
    """In the person's words."""

    @property
    def group(self) -> DropGroup:
        """What a run of `ingest` is started with, so that it takes the drop or judges it again."""
        return DropGroup.model_validate({"feed": self.object.key.split("/")[1], "objects": (self.object,)})

    def decide(self, table: StateTable, status: HeldStatus, *, by: str, reason: str) -> bool:
        """Whether the drop waited, and has this status now."""
        decided = "SET #status = :now, decided_by = :by, reason = :reason"
        values: dict[str, Value] = {"now": status, "by": by, "reason": reason}
        return table.update(self.sort_key(self.drop_id), decided, "#status = :waiting", waiting="waiting", **values)


@dataclass(frozen=True, kw_only=True)
class Contradiction(Item, key="contradicting#{drop_id}"):
    """A drop whose labels contradict known ones, and that was not held: it counts for its day's quota.

    A drop is written before those of the day are read for the last time. So of drops at the same time none is missed by
    all the others: they are held rather than take more than the quota together."""

    drop_id: str
    by: str
    labels: int
    """0 for one that was held after all."""
    at: datetime
    """When the drop came."""

    @property
    def attributes(self) -> dict[str, Attribute]:
        return super().attributes | delete_after(self.at + DAY)

    def take(self, table: StateTable, judge: Callable[[Collection[Contradiction]], tuple[str, ...]]) -> tuple[str, ...]:
        """What `judge` says of the others of the day. If it says nothing, this one counts for the day from now on."""
        if because := judge(self._others(table)):
            return because
        self.put(table)
        if because := judge(self._others(table)):
            replace(self, labels=0).put(table)
        return because

    def _others(self, table: StateTable) -> list[Contradiction]:
        every = Contradiction.every(table)
        return [one for drop_id, one in every.items() if one.at > self.at - DAY and drop_id != self.drop_id]
