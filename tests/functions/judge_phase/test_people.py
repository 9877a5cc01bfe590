"""What people are asked while a version stands on the phase `assisted`, and what of their answers counts."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from millrace.decisions.review import ReviewAnswer, item_of
from millrace.functions.judge_phase.looks import People
from millrace.messages.climb import Climb, TwoAnswers
from millrace.release.assisted import reviews_of
from millrace.release.ladder import ReviewCounts
from millrace.state.reviews import ReviewQueue
from millrace.tasks.binary import Binary
from millrace.workload.load import load_workload
from millrace.workload.policy import Policy
from tests import builders
from tests.electricity import HOME

NOW = datetime(1997, 1, 2, 12, tzinfo=UTC)
CLIMB = Climb(version="2", champion="1", phase="assisted", since=NOW)
POLICY = Policy.model_validate({"automate": {"confidence": 0.7}})


@pytest.fixture
def queue(aws):
    return ReviewQueue(aws.dynamodb, aws.names)


@pytest.fixture
def people(queue):
    workload = load_workload(HOME).model_copy(update={"policy": POLICY})
    return People(queue, workload, Binary(positive=1))


def decided(number, **fields):
    return builders.decision(
        id=f"r-{number}",
        event_time=NOW,
        key={"timestamp": NOW.isoformat()},
        input=json.dumps({"timestamp": NOW.isoformat(), "nswprice": number / 100}),
        output={"value": 0, "probability": 0.2, "confidence": 0.8},
        **fields,
    )


def answered(decision, value=1):
    return TwoAnswers(
        id=decision.id,
        event_time=NOW,
        inferred_at=NOW,
        key=dict(decision.key),
        champion=dict(decision.output),
        challenger={"value": value, "probability": 0.9, "confidence": 0.9},
    )


def says(queue, name, value, *, is_final=True):
    held = queue.take(name, by="ann", now=NOW)
    queue.answer(held, ReviewAnswer(value=value, by="ann", at=NOW, seconds=4, source="web"), label="{}")
    if is_final:
        queue.begin_drop(queue.find([name])[name], drop="a", now=NOW)


def test_half_of_the_rows_show_the_versions_answer(people, queue):
    decisions = [decided(number) for number in range(40)]
    climb = people.ask(CLIMB, decisions, map(answered, decisions), now=NOW)
    items = queue.waiting(most=100, now=NOW)
    assert {one.id: one.blind for one in climb.asked} == {item.id: item.is_blind for item in items}
    assert {(item.is_blind, item.output is None, item.model_version) for item in items} == {
        (True, True, "2"),
        (False, False, "2"),
    }
    assert {item.output["value"] for item in items if item.output} == {1}
    assert items[3].input


def test_answers_that_are_final_count(people, queue):
    decisions = [decided(number) for number in range(12)]
    pairs = [answered(one) for one in decisions]
    climb = people.ask(CLIMB, decisions, pairs, now=NOW)
    blind = [one.id for one in climb.asked if one.blind]
    shown = [one.id for one in climb.asked if not one.blind]
    says(queue, blind[0], 1)
    says(queue, blind[1], 0)
    says(queue, shown[0], 1)
    says(queue, shown[1], 1, is_final=False)
    climb = people.read(climb, pairs)
    assert reviews_of(climb) == ReviewCounts(blind=2, blind_agreed=1, shown=1, shown_agreed=1)
    queue.begin_drop(queue.find([shown[1]])[shown[1]], drop="a", now=NOW)
    assert reviews_of(people.read(climb, pairs)).shown == 2


def test_a_row_that_waits_for_a_person_anyway_gets_the_versions_answer(people, queue):
    waits, held, done = (decided(number, action="review", reason="unsure") for number in range(3))
    for one in (waits, held, done):
        queue.open(item_of(one, POLICY.review, opened_at=NOW - timedelta(hours=1)))
    queue.take("r-1", by="ben", now=NOW)
    says(queue, "r-2", 1)
    climb = people.ask(CLIMB, [waits, held, done], map(answered, (waits, held, done)), now=NOW)
    assert [one.id for one in climb.asked] == ["r-0"]
    found = queue.find(["r-0", "r-1", "r-2"])
    assert found["r-0"].is_challengers
    assert [(found[name].reason, found[name].model_version) for name in ("r-1", "r-2")] == [("unsure", "1")] * 2
    assert replace(found["r-0"], reason="unsure", output=None, model_version="1") == replace(
        item_of(waits, POLICY.review, opened_at=NOW - timedelta(hours=1)), output=None
    )


def test_an_item_that_nobody_has_answered_is_no_agreement(people, queue):
    decision = decided(0)
    climb = people.ask(CLIMB, [decision], [answered(decision)], now=NOW)
    late = NOW + timedelta(hours=POLICY.review.hours + 1)
    queue.end_expired(now=late, most=10)
    assert queue.find(["r-0"])["r-0"].status == "unanswered"
    assert reviews_of(people.read(climb, [answered(decision)])) == ReviewCounts()
