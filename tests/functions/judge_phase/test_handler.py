"""A look at a version that answers copies: whatever its endpoint does, it only shows in what is known of it."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from millrace.decisions.record import object_key, to_line
from millrace.decisions.review import ReviewAnswer, item_of
from millrace.functions.judge_phase.looks import People
from millrace.messages.climb import Climb, TwoAnswers
from millrace.release.assisted import reviews_of
from millrace.release.ladder import ReviewCounts
from millrace.release.registry import REJECTED, Registry
from millrace.state.climbing import Climbing
from millrace.state.pointers import Pointers
from millrace.state.reviews import ReviewQueue
from millrace.tasks.binary import Binary
from millrace.workload.load import load_workload
from millrace.workload.policy import Policy
from tests import builders
from tests.challenger import answering
from tests.electricity import HOME

DAY = datetime(1997, 1, 2, tzinfo=UTC)
CELLS = {"nswprice": 0.05, "nswdemand": 0.4, "vicprice": 0.003, "vicdemand": 0.4, "transfer": 0.4, "period": 0.5}


class Challenger:
    """What the endpoint answers, and what it was asked."""

    def __init__(self):
        self.version, self.asked, self.broken = "2", [], False


@pytest.fixture
def challenger(monkeypatch):
    state = Challenger()

    def answer(_path, body):
        rows = json.loads(body)["rows"]
        if state.broken:
            return 500, b"{}"
        state.asked += rows
        said = [{"value": 1, "probability": 0.9, "confidence": 0.9}] * len(rows)
        return 200, json.dumps({"model_version": state.version, "predictions": said}).encode()

    with answering(monkeypatch, answer):
        yield state


@pytest.fixture
def judge(aws, challenger, load):
    """The function, with a version 2 in the registry and the challenger that it asks."""
    registry = Registry(aws.sagemaker, group=aws.names.package_group)
    for run in ("first", "second"):
        registry.register(builders.candidate(run=run))
    return load("judge_phase"), challenger


def decisions(aws, count, *, version="1", at=DAY + timedelta(hours=13), name="r", phase="live", **acted):
    found = [
        builders.decision(
            id=f"{name}-{number}",
            event_time=time,
            key={"timestamp": time.isoformat()},
            input=json.dumps(CELLS | {"timestamp": time.isoformat()}),
            output={"value": 0, "probability": 0.2, "confidence": 0.8},
            model_version=version,
            phase=phase,
            fallback=version is None,
            inferred_at=at,
            **acted,
        )
        for number in range(count)
        for time in [DAY + number * timedelta(minutes=30)]
    ]
    key = object_key("electricity", DAY.date(), [one.id for one in found])
    aws.put(f"s3://{aws.names.platform.bucket('lake')}/{key}", "".join(f"{to_line(one)}\n" for one in found))


def climb(aws, phase="shadow"):
    return json.loads(aws.objects()[f"electricity/climbs/2/2f61d0a5-release/{phase}/climb.json"])


def test_each_decision_is_copied_once(aws, judge, event):
    handler, challenger = judge
    handler(event("judge_phase"))
    decisions(aws, 30)
    decisions(aws, 5, version=None, name="fallback")
    decisions(aws, 5, at=DAY, name="before")
    decisions(aws, 5, name="shown", action="review", reason="unsure")
    for hour in (14, 15):
        answer = handler(event("judge_phase") | {"at": f"1997-01-02T{hour}:00:00Z"})
    assert (len(challenger.asked), answer["answer"]) == (30, "not_yet")
    assert (climb(aws)["looks"][-1]["pairs"], climb(aws)["looks"][-1]["differing"]) == (30, 30)
    found = Climbing.find(aws.state)
    assert (found.version, found.execution) == ("2", event("judge_phase")["execution"])


@pytest.mark.parametrize("fault", ["broken", "another version"])
def test_an_endpoint_that_does_not_answer_is_only_missing(aws, judge, event, fault):
    handler, challenger = judge
    handler(event("judge_phase"))
    decisions(aws, 30)
    challenger.broken, challenger.version = fault == "broken", "1" if fault == "another version" else "2"
    answer = handler(event("judge_phase") | {"at": "1997-01-02T14:00:00Z"})
    assert (answer["answer"], climb(aws)["failed"]) == ("not_yet", 30)
    challenger.broken, challenger.version = False, "2"
    handler(event("judge_phase") | {"at": "1997-01-02T15:00:00Z"})
    assert climb(aws)["looks"][-1]["pairs"] == 30


def test_its_time_ends_and_it_is_refused_once(aws, judge, event):
    handler, _ = judge
    handler(event("judge_phase"))
    late = event("judge_phase") | {"at": "1997-02-20T12:00:00Z"}
    answer = handler(late)
    assert (answer["answer"], handler(late)) == ("stop", answer)
    package = Registry(aws.sagemaker, group=aws.names.package_group).describe(aws.names.package_arn("2"))
    assert (package.approval, package.said) == (REJECTED, f"shadow: {answer['because']}")
    (kept,) = aws.audit()
    assert (kept["event"], kept["details"]["because"], kept["details"]["labels"]) == (
        "phase.stopped",
        answer["because"],
        0,
    )
    assert Climbing.find(aws.state) is None


def test_a_person_may_refuse_it_meanwhile(aws, judge, event):
    handler, _ = judge
    handler(event("judge_phase"))
    registry = Registry(aws.sagemaker, group=aws.names.package_group)
    registry.refuse(registry.describe(aws.names.package_arn("2")), reason="wrong wards")
    answer = handler(event("judge_phase") | {"at": "1997-01-02T13:00:00Z"})
    assert answer["answer"] == "stop"
    assert answer["because"].endswith("has refused it: wrong wards")


@pytest.fixture
def warm(aws, judge, event, load, declare):
    """Version 2 is live, version 1 is warm at the challenger's endpoint: the function, and its input at an hour."""
    _, challenger = judge
    challenger.version = "1"
    declare({"phases: [live]": "phases: [live]\n  warm_hours: 48"})
    handler = load("judge_phase")
    aws.pointers.move(Pointers(champion=builders.version("2"), previous=builders.version("1")))
    given = event("judge_phase") | {"phase": "live"}
    until = DAY + timedelta(days=90)
    assert aws.leases.take("release", holder=given["execution"], as_of=DAY, expires_at=until)
    return handler, lambda at: given | {"at": at}


def test_a_live_version_is_compared_with_the_one_before(aws, warm):
    handler, given = warm
    assert handler(given("1997-01-02T12:00:00Z"))["answer"] == "not_yet"
    standby = aws.pointers.read().canary
    assert (standby.version.version, standby.share) == ("1", 0.0)
    decisions(aws, 30, version="2")
    decisions(aws, 5, version="1", name="before")
    assert handler(given("1997-01-02T14:00:00Z"))["answer"] == "not_yet"
    found = climb(aws, "live")
    assert (found["version"], found["champion"], found["looks"][-1]["pairs"]) == ("2", "1", 30)
    (body,) = [body for key, body in aws.objects().items() if key.endswith(".jsonl") and "/climbs/2/" in key]
    pair = json.loads(body.splitlines()[0])
    assert (pair["challenger"]["value"], pair["champion"]["value"]) == (0, 1)


def test_a_live_version_stays_so_at_the_end_of_its_time(aws, warm):
    handler, given = warm
    handler(given("1997-01-02T12:00:00Z"))
    answer = handler(given("1997-02-20T12:00:00Z"))
    assert answer["answer"] == "go_on"
    (kept,) = aws.audit()
    assert (kept["event"], kept["details"]["phase"], kept["details"]["labels"]) == ("phase.passed", "live", 0)
    assert aws.pointers.read().canary is None
    assert Climbing.find(aws.state) is None


def test_a_watch_ends_once_another_release_has_the_lease(aws, warm):
    handler, given = warm
    handler(given("1997-01-02T12:00:00Z"))
    aws.leases.free(given("")["execution"])
    assert handler(given("1997-01-02T14:00:00Z"))["answer"] == "overtaken"
    aws.leases.take("release", holder="another", as_of=DAY, expires_at=DAY + timedelta(days=90))
    assert handler(given("1997-01-02T14:00:00Z"))["answer"] == "overtaken"
    assert aws.audit() == []


def test_a_first_look_at_a_canary_that_dies_counts_its_requests_when_it_is_repeated(aws, judge, event):
    handler, _ = judge
    client = sys.modules["millrace.functions.judge_phase.handler"].S3

    def die(**_):
        if aws.pointers.read().canary:
            raise SystemExit

    client.meta.events.register("before-call.s3.PutObject", die)
    decisions(aws, 3, name="before", at=DAY + timedelta(hours=11))
    with pytest.raises(SystemExit):
        handler(event("judge_phase") | {"phase": "canary"})
    client.meta.events.unregister("before-call.s3.PutObject", die)
    for number in range(5):
        at = DAY + timedelta(hours=12, minutes=1 + number)
        decisions(aws, 1, version="2", name=f"canary-{number}", phase="canary", at=at)
    for minute in (10, 25):
        answer = handler(event("judge_phase") | {"phase": "canary", "at": f"1997-01-02T12:{minute}:00Z"})
    assert answer["because"].startswith("5 of ")


NOW = datetime(1997, 1, 2, 12, tzinfo=UTC)
CLIMB = Climb(version="2", champion="1", phase="assisted", since=NOW)
POLICY = Policy.model_validate({"automate": {"confidence": 0.7}})


@pytest.fixture
def queue(aws):
    return ReviewQueue(aws.dynamodb, aws.names, ended=lambda _: None)


@pytest.fixture
def people(queue):
    return People(queue, load_workload(HOME).model_copy(update={"policy": POLICY}), Binary(positive=1))


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
    queue.end_expired(now=(NOW + timedelta(hours=POLICY.review.hours + 1)), most=10)
    assert queue.find(["r-0"])["r-0"].status == "unanswered"
    assert reviews_of(people.read(climb, [answered(decision)])) == ReviewCounts()
