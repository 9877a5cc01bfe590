"""Slots bound how many executions run at once."""

from millrace.state.slots import Slots

A, B = "arn:aws:states:eu-west-1:123456789012:execution:m:a", "arn:aws:states:eu-west-1:123456789012:execution:m:b"


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
