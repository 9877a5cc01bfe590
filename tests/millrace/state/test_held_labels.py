"""Batches of labels that wait for a person: held once, decided once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from hypothesis import example, given
from hypothesis.strategies import floats, lists, none, recursive, text

from millrace.messages.ingest import DropObject
from millrace.state.held_labels import Contradiction, Contradictions, HeldBatch, HeldLabels
from millrace.state.table import StateTable

AT = datetime(1997, 7, 1, 6, tzinfo=UTC)
BATCH = HeldBatch(
    object=DropObject(key="electricity/labels/june.csv", version_id="3sL4", drop_id="5d7c", as_of=AT),
    because=("41 of 48 labels contradict known ones; 20 may",),
    labels=48,
    held_at=AT,
    sent_by="ann, account 123456789012",
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


def test_runs_at_the_same_time_do_not_each_take_the_whole_quota(table: StateTable) -> None:
    taken = Contradictions(table)

    def drop(number: int) -> Contradiction:
        return Contradiction(drop_id=f"d{number}", by="ann, from here", labels=20, at=AT)

    def judge(running: Mapping[str, Contradiction]) -> tuple[str, ...]:
        # Another run is faster between this one's look and its write.
        if not running:
            assert taken.take(drop(2), lambda _: ()) == ()
        return ("too many",) if running else ()

    assert taken.take(drop(1), judge) == ("too many",)
    assert taken.take(drop(2), lambda running: tuple(running)) == ()  # its own repetition does not count


@given(by=text(), stored=text() | recursive(none() | floats() | text(), lists).map(json.dumps))
@example(by="a\x0b\x1c\x85\u2028\nb\ud800", stored="d1 5 1997-07-01T06:00:00Z ann")
def test_no_name_and_no_stored_line_stops_a_judgement(by: str, stored: str) -> None:
    class Stored:
        """The item of the state table."""

        lines = stored

        def get(self, _: str) -> dict[str, Any]:
            return {"lines": {"S": self.lines}}

        def update(self, *_: str, lines: str, **__: str) -> bool:
            self.lines = lines
            return True

    taken = Contradictions(cast("StateTable", Stored()))
    first, second = (Contradiction(drop_id=drop_id, by=by, labels=3, at=AT) for drop_id in ("d1", "d2"))
    assert taken.take(first, lambda _: ()) == ()
    running: list[Mapping[str, Contradiction]] = []
    taken.take(second, lambda others: (running.append(others), ())[1])
    assert running == [{"d1": first}]
