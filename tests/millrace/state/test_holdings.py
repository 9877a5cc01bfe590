"""Leases, slots and turns: each has its holder, and no more than there may be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis.strategies import floats, lists, none, recursive, text

from millrace.messages.ingest import DropObject
from millrace.state.held_labels import Contradiction, Contradictions, HeldBatch, HeldLabels
from millrace.state.holdings import Leases, Slots
from millrace.state.table import StateTable
from millrace.state.turns import TURN_S, Turns
from millrace.timestamps import parse_utc

NOW = parse_utc("1997-06-01T06:00:00Z")
A, B = "arn:aws:states:eu-west-1:123456789012:execution:m:a", "arn:aws:states:eu-west-1:123456789012:execution:m:b"


def test_a_lease_has_one_holder_until_it_expires(table):
    leases = Leases(table)
    later = NOW + timedelta(hours=1)
    assert leases.take("retrain", holder=A, as_of=NOW, expires_at=later)
    assert leases.take("retrain", holder=A, as_of=NOW, expires_at=later)
    assert not leases.take("retrain", holder=B, as_of=NOW + timedelta(minutes=59), expires_at=later)
    assert leases.find("retrain").holder == A
    assert leases.take("retrain", holder=B, as_of=later, expires_at=later + timedelta(hours=1))


def test_free_releases_only_what_the_holder_has(table):
    leases, until = Leases(table), NOW + timedelta(hours=1)
    for name, holder in (("retrain", A), ("train", A), ("release", B)):
        assert leases.take(name, holder=holder, as_of=NOW, expires_at=until)
    assert leases.free(A) == ["lease#retrain", "lease#train"]
    assert leases.find("retrain") is None
    assert leases.free(A) == []
    assert leases.find("release").holder == B


def test_a_lease_that_has_passed_on_is_not_freed(table):
    """Between the reading and the deletion another execution took the lease that had expired."""
    leases, until = Leases(table), NOW + timedelta(hours=1)
    leases.take("train", holder=A, as_of=NOW, expires_at=until)

    class Slow:
        def items(self, prefix):
            found = table.items(prefix)
            assert leases.take("train", holder=B, as_of=until, expires_at=until + timedelta(hours=1))
            return found

        delete = table.delete

    assert Leases(Slow()).free(A) == []
    assert leases.find("train").holder == B


def test_slots_are_bounded_and_asking_twice_takes_one(table):
    slots = Slots(table)
    assert slots.take("ingest", holder=A, limit=2)
    assert slots.take("ingest", holder=A, limit=2)
    assert slots.take("ingest", holder=B, limit=2)
    assert not slots.take("ingest", holder="c", limit=2)
    assert slots.take("ingest", holder=B, limit=2)


def test_free_releases_only_the_holders_slot(table):
    slots = Slots(table)
    assert slots.free(A) == []
    slots.take("ingest", holder=A, limit=2)
    slots.take("ingest", holder=B, limit=2)
    assert slots.free(A) == ["slots#ingest"]
    assert slots.free(A) == []
    assert not slots.take("ingest", holder=A, limit=1)
    assert slots.free(B) == ["slots#ingest"]
    assert slots.take("ingest", holder=A, limit=1)


def test_a_slot_is_freed_wherever_it_is_taken(table):
    slots = Slots(table)
    slots.take("ingest-labels", holder=A, limit=2)
    slots.take("ingest-training", holder=B, limit=2)
    assert slots.free(B, likely="ingest-training") == ["slots#ingest-training"]
    assert slots.free(A, likely="ingest-training") == ["slots#ingest-labels"]
    assert slots.free(A, likely="ingest-labels") == []


def test_a_table_has_one_turn_until_it_ends(table: StateTable) -> None:
    turns = Turns(table)
    assert turns.take("rows", holder="a", now_s=0.0)
    assert turns.take("rows", holder="a", now_s=1.0)
    assert not turns.take("rows", holder="b", now_s=1.0 + TURN_S - 0.1)
    assert turns.take("labels", holder="b", now_s=1.0)
    assert turns.take("rows", holder="b", now_s=1.0 + TURN_S)


def test_only_the_holder_ends_a_turn(table: StateTable) -> None:
    turns = Turns(table)
    turns.take("rows", holder="a", now_s=0.0)
    turns.take("rows", holder="b", now_s=TURN_S)
    turns.end("rows", holder="a")
    assert not turns.take("rows", holder="c", now_s=TURN_S)
    turns.end("rows", holder="b")
    assert turns.take("rows", holder="c", now_s=TURN_S)


def test_a_block_has_its_turn_alone_and_passes_it_on(table: StateTable) -> None:
    turns, came = Turns(table), list[str]()
    waits = Event()

    def second() -> None:
        waits.set()
        with turns.turn("rows", holder="b"):
            came.append("b")

    thread = Thread(target=second)
    with turns.turn("rows", holder="a"):
        thread.start()
        waits.wait()
        came.append("a")
    thread.join()
    assert came == ["a", "b"]


def test_a_block_that_fails_passes_its_turn_on(table: StateTable) -> None:
    turns = Turns(table)
    with pytest.raises(ValueError, match="lost"), turns.turn("rows", holder="a"):
        raise ValueError("lost")
    assert turns.take("rows", holder="b", now_s=0.0)


def test_who_has_waited_for_too_long_goes_on_and_ends_no_turn(table: StateTable) -> None:
    turns = Turns(table)
    with turns.turn("rows", holder="a"):
        with turns.turn("rows", holder="b", patience_s=0.0):
            pass
        assert table.get("turn#rows")["holder"] == {"S": "a"}


AT_HELD_LABELS = datetime(1997, 7, 1, 6, tzinfo=UTC)
BATCH = HeldBatch(
    object=DropObject(key="electricity/labels/june.csv", version_id="3sL4", drop_id="5d7c", as_of=AT_HELD_LABELS),
    because=("41 of 48 labels contradict known ones; 20 may",),
    labels=48,
    held_at=AT_HELD_LABELS,
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
        return Contradiction(drop_id=f"d{number}", by="ann, from here", labels=20, at=AT_HELD_LABELS)

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
    first, second = (Contradiction(drop_id=drop_id, by=by, labels=3, at=AT_HELD_LABELS) for drop_id in ("d1", "d2"))
    assert taken.take(first, lambda _: ()) == ()
    running: list[Mapping[str, Contradiction]] = []
    taken.take(second, lambda others: (running.append(others), ())[1])
    assert running == [{"d1": first}]
