"""The queue of decisions that wait: who gets which item, and that whatever dies between two steps is mended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from millrace.decisions.review import ReviewAnswer, ReviewItem
from millrace.state.reviews import DONE, ITEM, LEASE, STALE, WAIT, Held, ReviewQueue
from millrace.timestamps import parse_utc
from tests import builders
from tests.millrace.state.conftest import NAMES

AT = parse_utc("1997-06-01T06:00:00Z")
ITEM_0 = builders.review_item(AT)


def test_items_come_by_priority_then_by_time_and_the_oldest_waits_in_whatever_place(queue: ReviewQueue) -> None:
    assert queue.oldest(now=AT) is None
    for number, priority in ((3, 2), (1, 3), (2, 2), (4, 1)):
        queue.open(numbered(number, priority=priority))
    taken = [held(queue.next(by="ann", now=AT)) for _ in range(4)]
    assert [one.item.id for one in taken] == ["r-4", "r-2", "r-3", "r-1"]
    assert queue.next(by="ben", now=AT) is None
    assert all(map(queue.release, taken))
    assert queue.oldest(now=AT) == AT + timedelta(minutes=1)
    first = held(queue.take("r-1", by="ann", now=AT))
    queue.escalate(first, note="", now=AT)
    assert queue.oldest(now=AT) == AT + timedelta(minutes=1)
    queue.answer(held(queue.take("r-1", by="ben", now=AT)), answer("ben"), label="{}")
    assert queue.oldest(now=AT) == AT + timedelta(minutes=2)


def test_an_answer_that_is_changed_while_the_sweep_looks_keeps_its_label(client: Any, queue: ReviewQueue) -> None:
    """Taken back and, an hour later, given again just when the sweep is about to forget the first one."""
    queue.open(ITEM_0)
    queue.answer(held(queue.next(by="ann", now=AT)), answer(), label="first")
    back = held(queue.undo("r-0", by="ann", now=AT))
    later = AT + STALE + timedelta(minutes=1)
    given: list[bool] = []

    def answer_again(**_: Any) -> None:
        if not given:
            given.append(True)
            given.append(queue.answer(back, replace(answer(value=0), at=later), label="second"))

    client.meta.events.register("before-call.dynamodb.DeleteItem", answer_again)
    queue.end_expired(now=later, most=10)
    client.meta.events.unregister("before-call.dynamodb.DeleteItem", answer_again)
    assert given == [True, True]
    assert [label for _, label in queue.answered()] == ["second"]


def test_an_item_that_waits_gets_another_answer_unless_somebody_has_it(queue: ReviewQueue) -> None:
    shown = replace(ITEM_0, reason="assisted", output={"value": 0, "confidence": 0.9}, model_version="2")
    assert not queue.exchange(shown, now=AT)
    queue.open(ITEM_0)
    ann = held(queue.next(by="ann", now=AT))
    assert not queue.exchange(shown, now=AT)
    assert queue.find(["r-0"])["r-0"] == ITEM_0
    queue.release(ann)
    assert queue.exchange(shown, now=AT)
    again = held(queue.next(by="ann", now=AT))
    assert again.item == replace(shown, priority=ITEM_0.priority)
    queue.release(again)
    assert queue.exchange(replace(ITEM_0, reason="assisted_blind", output=None), now=AT)
    again = held(queue.next(by="ann", now=AT))
    assert (again.item.is_blind, again.item.output) == (True, None)
    queue.answer(again, answer("ann"), label="{}")
    assert not queue.exchange(ITEM_0, now=AT + timedelta(hours=1))


def test_an_item_that_is_withdrawn_waits_no_more_unless_it_has_waited_before(queue: ReviewQueue) -> None:
    asked = replace(ITEM_0, reason="assisted_blind", output=None, model_version="2")
    queue.open(ITEM_0)
    queue.open(own := replace(asked, id="r-9"))
    for version in ("2", "3"):
        assert queue.exchange(replace(asked, model_version=version), now=AT)
        assert queue.exchange(replace(own, model_version=version), now=AT)
    ann = held(queue.take("r-9", by="ann", now=AT))
    assert not queue.withdraw("r-9", now=AT)  # a person has it
    queue.release(ann)
    assert queue.withdraw("r-9", now=AT)
    assert queue.withdraw("r-0", now=AT)
    assert not queue.withdraw("r-9", now=AT)
    assert queue.waiting(most=10, now=AT) == [ITEM_0]
    assert queue.find(["r-9"])["r-9"].status == "withdrawn"
    assert queue.open(own) is False
    assert queue.count(most=10, now=AT) == 1
    # As it was before, it is withdrawn like any other.
    assert queue.withdraw("r-0", now=AT)
    assert queue.waiting(most=10, now=AT) == []


@pytest.fixture
def ended() -> list[ReviewItem]:
    return []


@pytest.fixture
def queue(client: Any, ended: list[ReviewItem]) -> ReviewQueue:
    return ReviewQueue(client, NAMES, ended=ended.append)


def numbered(number: int, **fields: Any) -> ReviewItem:
    return replace(ITEM_0, id=f"r-{number}", opened_at=AT + timedelta(minutes=number), **fields)


def held(found: Held | None) -> Held:
    assert found is not None
    return found


def answer(by: str = "ann", value: int = 1) -> ReviewAnswer:
    return ReviewAnswer(value=value, by=by, at=AT, seconds=3.0, source="terminal")


def sorts(client: Any) -> list[str]:
    return [item["sk"]["S"] for item in client.scan(TableName=NAMES.platform.state_table)["Items"]]


def test_an_item_is_opened_once_and_comes_back_as_it_was(queue: ReviewQueue) -> None:
    assert queue.open(ITEM_0)
    assert not queue.open(replace(ITEM_0, opened_at=AT + LEASE, reason="paused"))
    assert queue.find(["r-0", "r-0", "other"]) == {"r-0": ITEM_0}
    assert (queue.count(most=10, now=AT), queue.waiting(most=5, now=AT)) == (1, [ITEM_0])


def test_a_lease_ends_and_then_its_holder_answers_no_more(queue: ReviewQueue) -> None:
    queue.open(ITEM_0)
    first = held(queue.next(by="ann", now=AT))
    assert queue.next(by="ben", now=AT + LEASE - timedelta(seconds=1)) is None
    second = held(queue.next(by="ben", now=AT + LEASE))
    assert not queue.answer(first, answer(), label="{}")
    assert not any([queue.skip(first), queue.release(first), queue.escalate(first, note="", now=AT)])
    assert queue.answer(second, answer("ben", 0), label="{}")
    found = queue.find(["r-0"])["r-0"]
    assert (found.status, found.answer) == ("answered", answer("ben", 0))


def test_an_answer_is_given_once_and_its_label_dropped_once(queue: ReviewQueue, client: Any) -> None:
    queue.open(ITEM_0)
    mine = held(queue.next(by="ann", now=AT))
    assert queue.answer(mine, answer(), label='{"class":1}\n')
    assert not queue.answer(mine, answer(value=0), label="{}")
    ((item, label),) = queue.answered()
    assert (item.answer, label) == (answer(), '{"class":1}\n')
    assert queue.begin_drop(item, drop="a", now=AT) == "a"
    assert not queue.begin_drop(item, drop="b", now=AT + LEASE), "another one has begun"
    ((begun, _),) = queue.answered()
    assert queue.begin_drop(begun, drop="b", now=AT + LEASE) == "a", "who takes over goes on with the same drop"
    queue.end_drop(item)
    assert (list(queue.answered()), sorts(client)) == ([], [f"{ITEM}r-0"])
    assert queue.find(["r-0"])["r-0"].dropped_at == AT


def test_an_answer_is_taken_back_by_its_person_until_its_label_is_dropped(queue: ReviewQueue) -> None:
    queue.open(ITEM_0)
    queue.answer(held(queue.next(by="ann", now=AT)), answer(), label="{}")
    assert queue.undo("r-0", by="ben", now=AT) is None
    again = held(queue.undo("r-0", by="ann", now=AT))
    assert (list(queue.answered()), queue.next(by="ben", now=AT)) == ([], None)
    assert queue.answer(again, answer(value=0), label="{}")
    ((item, _),) = queue.answered()
    queue.begin_drop(item, drop="a", now=AT)
    assert queue.undo("r-0", by="ann", now=AT) is None
    assert queue.find(["r-0"])["r-0"].answer == answer(value=0)
    assert queue.count(most=9, now=AT) == 0


def test_who_skips_or_passes_on_is_not_asked_again(queue: ReviewQueue) -> None:
    queue.open(numbered(0, priority=1))
    queue.open(numbered(1))
    assert queue.skip(held(queue.next(by="ann", now=AT)))
    second = held(queue.next(by="ann", now=AT))
    assert second.item.id == "r-1"
    assert queue.escalate(second, note="odd", now=AT)
    assert queue.next(by="ann", now=AT) is None
    first = held(queue.next(by="ben", now=AT))
    assert (first.item.id, first.item.priority, first.item.note) == ("r-1", 0, "odd")
    assert queue.escalate(first, note="odd indeed", now=AT)
    assert held(queue.next(by="ben", now=AT)).item.id == "r-0"
    assert held(queue.next(by="cid", now=AT)).item.note == "odd indeed"


@pytest.mark.parametrize("passed", [False, True])
def test_a_decision_that_nobody_answers_ends_and_is_recorded(
    queue: ReviewQueue, client: Any, ended: list[ReviewItem], passed: bool
) -> None:
    queue.open(ITEM_0)
    mine = held(queue.next(by="ann", now=AT))
    assert queue.skip(mine) if passed else queue.release(mine)
    late = ITEM_0.expires_at
    assert queue.next(by="ann", now=late) is None
    assert [one.status for one in ended] == ["unanswered"]
    assert not queue.open(ITEM_0)
    assert sorts(client) == [f"{ITEM}r-0"]


def test_who_may_not_end_what_is_over_leaves_it_to_the_sweep_at_once(
    queue: ReviewQueue, client: Any, ended: list[ReviewItem]
) -> None:
    queue.open(ITEM_0)
    desk, late = ReviewQueue(client, NAMES), ITEM_0.expires_at
    assert desk.next(by="ann", now=late) is None
    assert desk.take("r-0", by="ann", now=late) is None
    assert ended == []
    queue.end_expired(now=late, most=9)
    assert [one.id for one in ended] == ["r-0"]


def test_the_sweep_ends_what_is_over_and_nothing_else(queue: ReviewQueue, ended: list[ReviewItem]) -> None:
    for number in range(6):
        queue.open(numbered(number, priority=1 + number % 3, expires_at=AT + timedelta(hours=1 + number)))
    assert queue.end_expired(now=AT + timedelta(hours=3), most=2) == 2
    assert queue.end_expired(now=AT + timedelta(hours=3), most=9) == 1
    assert {one.id for one in ended} == {"r-0", "r-1", "r-2"}
    assert queue.count(most=9, now=AT) == 3


class DiedError(Exception):
    """The process has ended at this call."""


@contextmanager
def dying(client: Any, call: str, number: int) -> Iterator[None]:
    """Let the client raise DiedError in place of its `number`th call of this kind within the block."""
    calls = iter(range(1, 99))

    def die(**_: Any) -> None:
        if next(calls) == number:
            raise DiedError

    event = f"before-call.{client.meta.service_model.service_id.hyphenize()}.{call}"
    client.meta.events.register(event, die, unique_id="die")
    with pytest.raises(DiedError):
        yield
    client.meta.events.unregister(event, unique_id="die")


def test_an_opening_that_dies_is_made_up_for(queue: ReviewQueue, client: Any) -> None:
    with dying(client, "PutItem", 2):
        queue.open(ITEM_0)
    assert queue.next(by="ann", now=AT) is None
    assert not queue.open(ITEM_0)
    assert held(queue.next(by="ann", now=AT)).item == ITEM_0


@pytest.mark.parametrize(("call", "number"), [("PutItem", 1), ("UpdateItem", 2), ("DeleteItem", 1)])
def test_an_answer_that_dies_is_given_once_in_the_end(queue: ReviewQueue, client: Any, call: str, number: int) -> None:
    queue.open(ITEM_0)
    mine = held(queue.next(by="ann", now=AT))
    with dying(client, call, number):
        queue.answer(mine, answer(), label="{}")
    later = AT + LEASE + timedelta(minutes=1)
    if found := queue.next(by="ben", now=later):
        assert call != "DeleteItem"
        assert queue.answer(found, replace(answer("ben"), at=later), label="{}")
    ((item, _),) = queue.answered()
    queue.end_drop(item)
    assert sorts(client) == [f"{ITEM}r-0"]
    assert item.answer
    assert item.answer.by == ("ann" if call == "DeleteItem" else "ben")


def test_the_mark_of_an_answer_that_was_never_written_goes(queue: ReviewQueue, client: Any) -> None:
    queue.open(ITEM_0)
    mine = held(queue.next(by="ann", now=AT))
    with dying(client, "UpdateItem", 2):
        queue.answer(mine, answer(), label="{}")
    for seconds, is_there in ((0, True), (1, False)):
        queue.end_expired(now=AT + STALE + timedelta(seconds=seconds), most=9)
        assert (f"{DONE}r-0" in sorts(client)) is is_there


@pytest.mark.parametrize(("call", "number"), [("PutItem", 1), ("DeleteItem", 1)])
def test_an_escalation_that_dies_loses_nothing(queue: ReviewQueue, client: Any, call: str, number: int) -> None:
    queue.open(ITEM_0)
    mine = held(queue.next(by="ann", now=AT))
    with dying(client, call, number):
        queue.escalate(mine, note="odd", now=AT)
    later = AT + LEASE + timedelta(minutes=1)
    found = queue.next(by="ben", now=later) or queue.next(by="ben", now=later)
    assert held(found).item.note == "odd"
    assert queue.next(by="cid", now=later) is None, "the old place leads nowhere"
    assert [one for one in sorts(client) if one.startswith(WAIT)] == [held(found).place]


def test_an_undo_that_dies_leaves_the_answer(queue: ReviewQueue, client: Any) -> None:
    queue.open(ITEM_0)
    queue.answer(held(queue.next(by="ann", now=AT)), answer(), label="{}")
    with dying(client, "UpdateItem", 1):
        queue.undo("r-0", by="ann", now=AT)
    assert queue.next(by="ben", now=AT + LEASE + LEASE) is None
    assert [item.answer for item, _ in queue.answered()] == [answer()]


def test_what_is_over_waits_no_more_though_nobody_has_ended_it(queue: ReviewQueue) -> None:
    for number in range(3):
        queue.open(numbered(number, expires_at=AT + timedelta(hours=1 + number)))
    for over in range(3):
        now, left = AT + timedelta(hours=over), 3 - over
        assert [one.id for one in queue.waiting(most=9, now=now)] == [f"r-{number}" for number in range(over, 3)]
        assert (queue.count(most=9, now=now), queue.oldest(now=now)) == (left, AT + timedelta(minutes=over))
    assert queue.oldest(now=AT + timedelta(hours=3)) is None
