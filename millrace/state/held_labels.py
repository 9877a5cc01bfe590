"""The batches of labels that wait for a person, or waited: item `held-labels#<drop id>`.

    held-labels#5d7c39d7b8804f07 = {"object": {"S": "{\"key\": \"electricity/labels/june.csv\", …}"},
        "because": {"SS": ["41 of 48 labels contradict …"]}, "labels": {"N": "48"}, "held_at": {"S": "1997-07-01T…Z"},
        "status": {"S": "waiting"}}

Nothing of a held batch is in a table. A person who accepts it starts `ingest` for the same object again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from millrace.messages.ingest import DropObject
from millrace.state.table import Attribute, StateTable
from millrace.timestamps import format_utc, parse_utc

PREFIX = "held-labels#"
HeldStatus = Literal["waiting", "accepted", "refused"]


@dataclass(frozen=True, kw_only=True)
class HeldBatch:
    """A drop of labels that was held."""

    object: DropObject
    because: tuple[str, ...]
    """A sentence for each reason."""
    labels: int
    held_at: datetime
    """When the object came."""
    status: HeldStatus = "waiting"
    by: str = ""
    """Identity of the person who has accepted or refused it; empty while it waits."""
    reason: str = ""
    """In the person's words."""


class HeldLabels:
    """The workload's items in the state table."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def find(self, drop_id: str) -> HeldBatch | None:
        """The batch; None if it was never held."""
        item = self._table.get(f"{PREFIX}{drop_id}")
        return _from_item(item) if item else None

    def every(self) -> list[HeldBatch]:
        """All of them, those that wait first."""
        found = map(_from_item, self._table.items(PREFIX).values())
        return sorted(found, key=lambda one: (one.status != "waiting", one.held_at))

    def hold(self, batch: HeldBatch) -> None:
        """Keep the batch. Nothing changes if it was held before."""
        self._table.update(
            f"{PREFIX}{batch.object.drop_id}",
            "SET #object = :object, because = :because, labels = :labels, held_at = :held_at, #status = :waiting",
            {
                ":object": {"S": batch.object.model_dump_json()},
                ":because": {"SS": [*batch.because]},
                ":labels": {"N": str(batch.labels)},
                ":held_at": {"S": format_utc(batch.held_at)},
                ":waiting": {"S": "waiting"},
            },
            condition="attribute_not_exists(pk)",
            attributes={"#object": "object", "#status": "status"},
        )

    def decide(self, drop_id: str, status: HeldStatus, *, by: str, reason: str) -> bool:
        """Whether the batch waited, and has this status now."""
        return self._table.update(
            f"{PREFIX}{drop_id}",
            "SET #status = :status, decided_by = :by, reason = :reason",
            {":status": {"S": status}, ":by": {"S": by}, ":reason": {"S": reason}, ":waiting": {"S": "waiting"}},
            condition="#status = :waiting",
            attributes={"#status": "status"},
        )


def _from_item(item: dict[str, Attribute]) -> HeldBatch:
    return HeldBatch(
        object=DropObject.model_validate_json(item["object"]["S"]),
        because=tuple(sorted(item["because"]["SS"])),
        labels=int(item["labels"]["N"]),
        held_at=parse_utc(item["held_at"]["S"]),
        status=item["status"]["S"],
        by=item.get("decided_by", {"S": ""})["S"],
        reason=item.get("reason", {"S": ""})["S"],
    )
