"""The batches of labels that wait for a person, or waited: item `held-labels#<drop id>`.

    held-labels#5d7c39d7b8804f07 = {"object": {"S": "{\"key\": \"electricity/labels/june.csv\", …}"},
        "because": {"SS": ["41 of 48 labels contradict …"]}, "labels": {"N": "48"}, "held_at": {"S": "1997-07-01T…Z"},
        "status": {"S": "waiting"}}

Nothing of a held batch is in a table. A person who accepts it starts `ingest` for the same object again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Self

from millrace.errors import ConflictError
from millrace.messages.ingest import DropObject
from millrace.state.item import NEW, TEXT, TEXT_IF_ANY, Form, Item
from millrace.state.table import StateTable, Value
from millrace.timestamps import format_utc, parse_utc

HeldStatus = Literal["waiting", "accepted", "refused", "judged"]
"""`judged`: it came before its decisions, and fits them."""
RUNNING, MOST_RUNNING = timedelta(hours=1), 2000
"""How long a drop that contradicts may take from its judgement to its commit, and how many may be on their way."""
TRIES = 20
"""How often the quota is asked for while others take of it."""
OBJECT = Form(DropObject.model_validate_json, DropObject.model_dump_json)


@dataclass(frozen=True, kw_only=True)
class HeldBatch(Item, key="held-labels#"):
    """A drop of labels that was held."""

    object: DropObject = field(metadata={"form": OBJECT})
    because: tuple[str, ...]
    """A sentence for each reason."""
    labels: int
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


class HeldLabels:
    """The workload's items in the state table."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def find(self, drop_id: str) -> HeldBatch | None:
        """The batch; None if it was never held."""
        item = self._table.get(HeldBatch.sort_key() + drop_id)
        return HeldBatch.parse(item) if item else None

    def every(self) -> list[HeldBatch]:
        """All of them, those that wait first."""
        return sorted(HeldBatch.every(self._table).values(), key=lambda one: (one.status != "waiting", one.held_at))

    def hold(self, batch: HeldBatch) -> None:
        """Keep the batch, or why it is held by now. Nothing changes if a person has decided."""
        values = batch.attributes
        fields = ", ".join(f"#{name} = :{name}" for name in values)
        self._table.update(
            HeldBatch.sort_key() + batch.object.drop_id, f"SET {fields}", f"{NEW} OR #status = :status", **values
        )

    def decide(self, drop_id: str, status: HeldStatus, *, by: str, reason: str) -> bool:
        """Whether the batch waited, and has this status now."""
        decided = "SET #status = :now, decided_by = :by, reason = :reason"
        values: dict[str, Value] = {"now": status, "by": by, "reason": reason}
        return self._table.update(
            HeldBatch.sort_key() + drop_id, decided, "#status = :waiting", waiting="waiting", **values
        )


@dataclass(frozen=True, kw_only=True)
class Contradiction:
    """A drop whose labels contradict known ones."""

    drop_id: str
    by: str
    labels: int
    at: datetime
    """When the drop came."""

    @classmethod
    def parse(cls, line: str) -> Self | None:
        """None for a line that says something else: no stored text may stop a judgement."""
        try:
            drop_id, labels, at, by = json.loads(line)
            return cls(drop_id=drop_id, by=by, labels=int(labels), at=parse_utc(at))
        except (ValueError, TypeError, AttributeError, OverflowError):
            return None

    def line(self) -> str:
        """In ASCII, without a line break, whatever the sender calls himself."""
        return json.dumps([self.drop_id, self.labels, format_utc(self.at), self.by])


class Contradictions:
    """Those that were judged and are perhaps not committed yet: item `contradicting`.

    So runs at the same time do not each take the whole quota: only one of them changes the item, and the others judge
    again."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def take(
        self, mine: Contradiction, judge: Callable[[Mapping[str, Contradiction]], tuple[str, ...]]
    ) -> tuple[str, ...]:
        """What `judge` says of those on their way, by drop id. If it says nothing, `mine` is one of them from now on.

        Raises ConflictError if others are faster TRIES times."""
        for _ in range(TRIES):
            before = self._table.get("contradicting").get("lines", {"S": ""})["S"]
            known = map(Contradiction.parse, before.split("\n"))
            running = [one for one in known if one and one.at > mine.at - RUNNING and one.drop_id != mine.drop_id]
            if because := judge({one.drop_id: one for one in running}):
                return because
            lines = "\n".join(one.line() for one in [*running, mine][-MOST_RUNNING:])
            former = {"before": before} if before else {}
            if self._table.update(
                "contradicting", "SET #lines = :lines", "#lines = :before" if former else NEW, lines=lines, **former
            ):
                return ()
        raise ConflictError(f"contradicting: expected to write within {TRIES} tries, others were faster")
