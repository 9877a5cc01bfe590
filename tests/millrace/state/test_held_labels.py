"""Batches of labels that wait for a person: held once, decided once."""

from __future__ import annotations

from datetime import UTC, datetime

from millrace.messages.ingest import DropObject
from millrace.state.held_labels import HeldBatch, HeldLabels
from millrace.state.table import StateTable

AT = datetime(1997, 7, 1, 6, tzinfo=UTC)
BATCH = HeldBatch(
    object=DropObject(key="electricity/labels/june.csv", version_id="3sL4", drop_id="5d7c", as_of=AT),
    because=("41 of 48 labels contradict known ones; 20 may",),
    labels=48,
    held_at=AT,
)


def test_a_batch_is_held_until_one_person_decides(table: StateTable) -> None:
    held = HeldLabels(table)
    assert held.find("5d7c") is None
    held.hold(BATCH)
    assert held.every() == [BATCH]
    assert held.decide("5d7c", "accepted", by="ann", reason="a new tariff")
    assert not held.decide("5d7c", "refused", by="bob", reason="late")
    held.hold(BATCH)  # the drop comes again
    found = held.find("5d7c")
    assert found is not None
    assert (found.status, found.by, found.reason) == ("accepted", "ann", "a new tariff")
    assert not held.decide("other", "refused", by="bob", reason="unknown")
