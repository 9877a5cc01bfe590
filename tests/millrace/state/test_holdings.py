"""Leases, slots and turns: each has its holder, and no more than there may be."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from threading import Event, Thread

import pytest

from millrace.erasure.erasure import until_ended
from millrace.messages.ingest import DropObject
from millrace.state.held_drops import Contradiction, HeldDrop
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
    assert slots.free(A) == ["slots#ingest"]
    assert not slots.take("ingest", holder="c", limit=1), "B has its own"


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


BATCH = HeldDrop(
    drop_id="5d7c",
    object=DropObject(key="electricity/labels/june.csv", version_id="3sL4", drop_id="5d7c", as_of=NOW),
    because=("41 of 48 labels contradict known ones; 20 may",),
    rows=48,
    held_at=NOW,
    sent_by="ann, account 123456789012",
)


def test_a_batch_is_held_until_one_person_decides(table: StateTable) -> None:
    assert not BATCH.decide(table, "refused", by="bob", reason="unknown")
    assert BATCH.put(table)
    assert HeldDrop.every(table) == {"5d7c": BATCH}
    assert BATCH.decide(table, "accepted", by="ann", reason="a new tariff")
    assert not BATCH.decide(table, "refused", by="bob", reason="late")
    assert not BATCH.put(table)  # the drop comes again
    found = HeldDrop.find(table, "5d7c")
    assert found is not None
    assert (found.status, found.by, found.reason) == ("accepted", "ann", "a new tariff")


def test_runs_at_the_same_time_do_not_each_take_the_whole_quota(table: StateTable) -> None:
    first, second, old = (
        Contradiction(drop_id=name, by="ann", labels=20, at=NOW - timedelta(hours=hours))
        for name, hours in (("a", 0), ("b", 0), ("c", 24))
    )
    assert old.take(table, lambda _: ()) == ()
    seen = list[Collection[Contradiction]]()

    def judge(day: Collection[Contradiction]) -> tuple[str, ...]:
        # Another run takes its part between this one's look and its write.
        if not seen:
            assert second.take(table, lambda _: ()) == ()
        seen.append(day)
        return ("too many",) if day else ()

    assert first.take(table, judge) == ("too many",)
    assert seen == [[], [second]]
    assert sum(one.labels for one in Contradiction.every(table).values()) == old.labels + second.labels
    assert second.take(table, lambda day: tuple(one.drop_id for one in day if one.labels)) == ()  # nor itself


def test_an_erasure_waits_for_executions_that_are_under_way(table):
    slots = Slots(table)
    assert slots.take("ingest-training", holder=A, limit=2)
    waits = until_ended(slots)
    assert next(waits) == 0
    assert slots.take("ingest-training", holder=B, limit=2)
    slots.free(A)
    assert list(waits) == []
