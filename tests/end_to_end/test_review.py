"""Decisions that a person decides: they wait in the queue, two people get different ones, and answers become labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from millrace.console.actions import label_studio
from millrace.console.actions.reviews import Reviewer
from millrace.console.cli.app import app
from millrace.console.environment import Environment, local_environment
from millrace.console.queries.decisions import find_days
from millrace.console.queries.labels import find_labels
from millrace.console.queries.reviews import count_waiting, find_items, list_waiting, show_item
from millrace.decisions.record import Decision
from millrace.errors import ReviewError
from tests.electricity import CLOCK, KNOWN, NAMES, SAMPLE, Electricity, live_electricity, sample
from tests.end_to_end.test_sweep import sweeping

ASKED = 24
POLICY = """
policy:
  automate: {confidence: 0.98}
  held_out: 0.3
  review: {hours: 48, alarm_hours: 8}
"""
ANN, BEN = (f"arn:aws:sts::123456789012:assumed-role/Operators/{name}" for name in ("ann", "ben"))


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Electricity]:
    """A version is live; unsure rows have been asked for by request, and others dropped in a file."""
    with live_electricity(tmp_path_factory.mktemp("review"), added=POLICY) as cloud:
        cloud.predict("call", sample(KNOWN, ASKED))
        cloud.drop("scoring/asked", sample(KNOWN + ASKED, ASKED).drop_columns(["class"]))
        yield cloud


@pytest.fixture
def environment(cloud: Electricity) -> Environment:
    return local_environment(cloud)


def runs(*words: str, typed: str = "") -> str:
    done = CliRunner().invoke(app, [*words], input=typed, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def decided(environment: Environment) -> dict[str, Decision]:
    return {one.id: one for day in find_days(environment, NAMES) for one in day.decisions}


def truth(decision: Decision) -> int:
    table = pq.read_table(SAMPLE)
    at = table["timestamp"].to_pylist().index(decision.event_time.replace(tzinfo=None))
    return int(table["class"][at].as_py())


def test_every_decision_for_a_person_waits_and_no_other_one(environment: Environment) -> None:
    decisions = decided(environment)
    assert {one.source for one in decisions.values()} == {"api", "batch"}
    wanted = {name for name, one in decisions.items() if one.action == "review"}
    assert {one.id for one in list_waiting(environment, NAMES, limit=100)} == wanted
    assert (count_waiting(environment, NAMES).count, len(decisions)) == (len(wanted), 2 * ASKED)
    assert {(one.source, one.reason) for one in decisions.values()} >= {
        ("api", "unsure"),
        ("batch", "unsure"),
        ("api", "held_out"),
        ("batch", "held_out"),
    }


def test_what_is_held_out_is_shown_without_the_model_s_answer(environment: Environment) -> None:
    items = list_waiting(environment, NAMES, limit=100)
    for item in items:
        shown = show_item(environment, NAMES, item)
        assert (shown.answer is None, shown.suggestion is None) == (item.is_blind, item.is_blind)
        assert list(shown.row)[:3] == ["timestamp", "day_of_week", "period"]
    listed = json.loads(runs("review", "--list", "--json"))
    assert {one["id"]: not one["answer"] for one in listed} == {item.id: item.is_blind for item in items}


def test_what_waits_for_long_raises_an_alarm(environment: Environment, cloud: Electricity) -> None:
    def raised() -> set[str]:
        found = cloud.client("cloudwatch").describe_alarms(StateValue="ALARM")["MetricAlarms"]
        return {one["AlarmName"].removeprefix(f"{NAMES.prefix}-") for one in found}

    (state,) = json.loads(runs("status", "--json"))
    assert state["reviews_waiting"].startswith(f"{count_waiting(environment, NAMES).count}, the oldest for ")
    for hours, expected in ((6, False), (10, True)):
        with sweeping(cloud):
            cloud.go_to(CLOCK + timedelta(hours=hours))
        assert ("late-reviews" in raised()) is expected
    (state,) = json.loads(runs("status", "--json"))
    assert state["reviews_waiting"].endswith("the oldest for 10 h")


def test_two_people_get_different_items_and_their_answers_become_labels(
    environment: Environment, cloud: Electricity
) -> None:
    people = [Reviewer.of(environment, NAMES, source="terminal", by=by) for by in (ANN, BEN)]
    with ThreadPoolExecutor(2) as pool:
        held = [one for one in pool.map(lambda person: person.next(), people) if one]
    assert len({one.item.id for one in held}) == 2
    decisions = decided(environment)
    for person, one in zip(people, held, strict=True):
        person.answer(one, truth(decisions[one.item.id]), seconds=7)
    with pytest.raises(ReviewError, match="still yours"):
        people[0].answer(held[0], 0, seconds=1)
    assert not find_labels(environment, NAMES, [*decisions.values()]), "an answer can be taken back for a while"
    back = people[1].undo(held[1].item.id)
    people[1].answer(back, 1 - truth(decisions[back.item.id]), seconds=2)
    assert [person.finish() for person in people] == [1, 1]
    cloud.rest()
    mine, other = (decisions[one.item.id] for one in held)
    labels = find_labels(environment, NAMES, [mine, other])
    assert {name: [label.value for label in found] for name, found in labels.items()} == {
        mine.id: [truth(mine)],
        other.id: [1 - truth(other)],
    }
    assert all("/labels/review/" in label.drop for found in labels.values() for label in found)
    events = [one["event"] for one in json.loads(runs("audit", "list", "--json", "--limit", "3"))]
    assert sorted(events) == ["review.answered", "review.answered", "review.undone"]
    with pytest.raises(ReviewError, match="drop a corrected label"):
        people[0].undo(mine.id)


def test_why_and_decisions_say_what_the_person_has_decided(environment: Environment) -> None:
    item = next(one for one in find_items(environment, NAMES, [*decided(environment)]).values() if one.answer)
    links = {one["what"]: one for one in json.loads(runs("why", item.id, "--json"))}
    assert links["review"]["identity"] == item.outcome
    assert "labels/review/" in links["label"]["detail"]
    rows = [json.loads(line) for line in runs("decisions", "--json").splitlines()]
    found = {row["id"]: row.get("person") for row in rows}
    assert found[item.id] == item.outcome
    assert {"waits", ""} <= set(found.values())


def test_a_person_works_in_the_terminal(environment: Environment, cloud: Electricity) -> None:
    waiting = count_waiting(environment, NAMES).count
    said = runs("review", typed="?\nneither\n1\n0\nu\n1\ns\np a holiday\nq\n")
    assert said.count("wait ·") == 7
    assert "expected one of 0, 1, got 'neither'" in said
    assert "2 labels dropped" in said
    assert count_waiting(environment, NAMES).count == waiting - 2
    first = list_waiting(environment, NAMES, limit=1)[0]
    assert (first.priority, first.note) == (0, "a holiday")
    runs("review", "--answer", first.id, "1")
    cloud.rest()
    found = find_labels(environment, NAMES, [decided(environment)[first.id]])[first.id]
    assert [(label.value, label.counts) for label in found] == [(1, True)]


def test_label_studio_gets_the_tasks_and_gives_the_answers_back_once(environment: Environment, tmp_path: Path) -> None:
    exported = tmp_path / "tasks.json"
    assert "<Choice value=" in runs("review", "--export", str(exported), "--limit", "5")
    tasks = json.loads(exported.read_text())
    waiting = list_waiting(environment, NAMES, limit=5)
    assert [task["data"]["decision"] for task in tasks] == [item.id for item in waiting]
    assert ["predictions" in task for task in tasks] == [not item.is_blind for item in waiting]
    for number, task in enumerate(tasks, 1):
        result = {"from_name": "label", "to_name": "row", "type": "choices", "value": {"choices": ["1"]}, "id": "x"}
        task |= {"id": number, "annotations": [{"result": [result], "lead_time": 4.2, "completed_by": 10}]}
    tasks[0]["annotations"].append(
        {"result": [{**tasks[0]["annotations"][0]["result"][0], "value": {"choices": ["0"]}}]}
    )
    annotated = tmp_path / "annotations.json"
    annotated.write_text(json.dumps(tasks))
    first, again = (label_studio.take_answers(environment, NAMES, annotated) for _ in range(2))
    assert (first.answered, set(first.left)) == (4, {waiting[0].id})
    assert (again.answered, len(again.left)) == (0, 5)
    answers = [item.answer for item in find_items(environment, NAMES, [item.id for item in waiting]).values()]
    assert [one.source for one in answers if one] == ["label-studio user 10"] * 4


def test_what_nobody_answers_in_time_ends_and_is_recorded(environment: Environment, cloud: Electricity) -> None:
    left = [item.id for item in list_waiting(environment, NAMES, limit=100)]
    assert left
    cloud.rest()
    gone = Reviewer.of(environment, NAMES, source="terminal", by=ANN)
    if held := gone.next():  # and then the terminal is closed
        gone.answer(held, 1, seconds=3)
        left.remove(held.item.id)
    with sweeping(cloud):
        cloud.go_to(CLOCK + timedelta(hours=51))
    assert count_waiting(environment, NAMES).count == 0
    assert {item.status for item in find_items(environment, NAMES, left).values()} == {"unanswered"}
    events: list[dict[str, Any]] = json.loads(runs("audit", "list", "--json", "--limit", "0"))
    unanswered = {one["details"]["decision"] for one in events if one["event"] == "review.unanswered"}
    assert unanswered == set(left)
    assert held
    assert find_labels(environment, NAMES, [decided(environment)[held.item.id]]), "the sweep has dropped it"
    assert Reviewer.of(environment, NAMES, source="terminal").next() is None
