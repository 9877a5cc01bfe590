"""The monitor asks people for ten labels a day, and judges the window by them: queue, answers, interval.

Of a week whose labels come by themselves, it asks about those that contradict the model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from millrace.console.actions.reviews import Reviewer
from millrace.console.cli.app import app
from millrace.console.environment import Environment
from millrace.console.queries.decisions import find_days
from millrace.console.queries.labels import find_label_errors, find_labels
from millrace.console.queries.monitoring import MonitorRun, find_monitor_runs, windows
from millrace.console.queries.reviews import list_waiting
from millrace.decisions.record import Decision
from tests.electricity import NAMES, NEVER, SAMPLE, Electricity, live_electricity

START = datetime.fromisoformat("1997-01-11T00:00:00+00:00")
WEEK, A_DAY = 7 * 48, 10
CHANGES = {"cron(0 6 1,15 * ? *)": "cron(0 6 * * ? *)", "cron(0 7 1 1,7 ? *)": NEVER}
POLICY = "\npolicy:\n  labels_a_day: 10\n  label_errors_a_day: 1\n  review: {hours: 48}\n"
PLANTED = 3


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Electricity]:
    """A version is live, and a week of decisions is over without a label."""
    folder = tmp_path_factory.mktemp("labels")
    with live_electricity(folder, added=POLICY, changes=CHANGES) as cloud:
        cloud.predict("week", week_of(START))
        cloud.go_to(START + timedelta(days=7, hours=7))
        yield cloud


def week_of(start: datetime) -> pa.Table:
    table = pq.read_table(SAMPLE)
    return table.slice(table["timestamp"].to_pylist().index(start.replace(tzinfo=None)), WEEK)


def runs(environment: Environment) -> tuple[MonitorRun, ...]:
    return find_monitor_runs(environment, NAMES, limit=50)


def truth(at: datetime) -> int:
    table = pq.read_table(SAMPLE)
    return int(table.filter(pc.equal(table["timestamp"], at.replace(tzinfo=None)))["class"][0].as_py())


def test_ten_rows_of_each_day_wait_for_a_person_who_sees_no_answer(environment: Environment) -> None:
    items = list_waiting(environment, NAMES, limit=200)
    assert Counter(item.event_time.date() for item in items) == {
        (START + timedelta(days=day)).date(): A_DAY for day in range(7)
    }
    assert {(item.reason, item.output) for item in items} == {("labels_wanted", None)}
    (window,) = windows(runs(environment))
    assert (window.labelled, window.mean_error, window.low) == (0, None, None)
    assert 0.05 < window.expected < 0.4


def test_their_answers_judge_the_window_with_its_interval(environment: Environment, cloud: Electricity) -> None:
    person = replace(
        Reviewer.of(environment, NAMES, source="terminal"), by="arn:aws:sts::123456789012:assumed-role/People/ann"
    )
    answered = 0
    while held := person.next():
        person.answer(held, truth(held.item.event_time), seconds=3)
        answered += 1
    assert answered == 7 * A_DAY
    person.finish()
    cloud.rest()
    cloud.go_to(START + timedelta(days=8, hours=7))
    (window,) = windows(runs(environment))
    assert window.labelled == 7 * A_DAY
    assert window.low < window.mean_error < window.high
    assert window.high - window.low < 0.3
    # What nobody was asked about: the whole week's error lies in the interval.
    assert window.low <= whole_error(environment) <= window.high
    before, after = (run.report.windows[-1].error for run in runs(environment)[-2:])
    assert (before.settled, after.settled) == (False, True)
    assert not list_waiting(environment, NAMES, limit=10), "nobody is asked twice"


def whole_error(environment: Environment) -> float:
    decisions = decided(environment, START)
    wrong: list[Any] = [one.value != truth(one.event_time) for one in decisions]
    assert len(wrong) == WEEK
    return sum(wrong) / len(wrong)


def decided(environment: Environment, start: datetime) -> list[Decision]:
    """The decisions on the rows of a week."""
    days = find_days(environment, NAMES, first=start.date(), last=(start + timedelta(days=6)).date())
    return [one for day in days for one in day.decisions]


def test_labels_that_contradict_the_model_are_asked_about_and_corrected(
    environment: Environment, cloud: Electricity
) -> None:
    """The second week's labels come by themselves. Those of the three surest right answers are wrong."""
    start = START + timedelta(days=7)
    cloud.predict("second", week_of(start))
    cloud.rest()
    right = [one for one in decided(environment, start) if one.value == truth(one.event_time)]
    sure = sorted(right, key=lambda one: -float(one.output["confidence"]))  # type: ignore[arg-type]
    planted = {one.id: one for one in sure[:PLANTED]}
    cloud.go_to(start + timedelta(days=7, hours=1))
    times = [one.event_time.replace(tzinfo=None) for one in planted.values()]
    week = week_of(start).select(["timestamp", "class"])
    is_planted = pc.is_in(week["timestamp"], value_set=pa.array(times, week["timestamp"].type))
    wrong = pc.if_else(is_planted, pc.subtract(1, week["class"]), week["class"]).cast(week["class"].type)
    cloud.drop("labels/second", week.set_column(1, "class", wrong))
    cloud.go_to(start + timedelta(days=7, hours=7))
    items = list_waiting(environment, NAMES, limit=200)
    assert {(item.reason, item.output, item.is_blind) for item in items} == {("label_error", None, True)}
    assert len(items) == 7
    ranked = find_label_errors(environment, NAMES)
    assert {one.label.id for one in ranked[:PLANTED]} == planted.keys()
    assert [one.outcome for one in ranked[:14]] == ["waits"] * 7 + ["not asked"] * 7
    assert {one.outcome for one in ranked[14:]} == {"asked before"}, "the first week's labels are people's own"
    before = runs(environment)[-1].report.windows[-1].error
    assert before is not None
    assert (before.settled, before.labelled) == (True, WEEK)

    person = replace(
        Reviewer.of(environment, NAMES, source="terminal"), by="arn:aws:sts::123456789012:assumed-role/People/ann"
    )
    while held := person.next():
        person.answer(held, truth(held.item.event_time), seconds=3)
    assert person.finish() == 7
    cloud.rest()
    outcomes = {one.label.id: one.outcome for one in find_label_errors(environment, NAMES)[:7]}
    assert outcomes == {one.label.id: "corrected" if one.label.id in planted else "confirmed" for one in ranked[:7]}
    labels = find_labels(environment, NAMES, [*planted.values()])
    assert {name: [(one.value, one.counts) for one in found] for name, found in labels.items()} == {
        name: [(1 - one.value, False), (one.value, True)] for name, one in planted.items()
    }
    said = json.loads(CliRunner().invoke(app, ["labels", "--json"], catch_exceptions=False).output)
    assert [one["status"] for one in said[:PLANTED]] == ["corrected"] * PLANTED
    assert all(one["answer"].endswith("by assumed-role/People/ann") for one in said[:7])


def test_a_correction_that_the_model_chose_moves_no_error(environment: Environment, cloud: Electricity) -> None:
    """The next run judges three windows in a row, this week among them, by the labels as they came."""
    start = START + timedelta(days=7)
    before = runs(environment)[-1].report.windows[-1]
    cloud.go_to(start + timedelta(days=14, hours=7))
    run = runs(environment)[-1]
    (again,) = [one for one in run.report.windows if one.start == before.start]
    known = _labels_of(cloud, run)
    corrected = [one for one in find_label_errors(environment, NAMES) if one.outcome == "corrected"]
    assert len(corrected) == PLANTED
    assert {one.label.label == known[one.label.event_time] for one in corrected} == {True}
    assert again.error is None, "settled"
    assert not list_waiting(environment, NAMES, limit=10), "nobody is asked twice"


def _labels_of(cloud: Electricity, run: MonitorRun) -> dict[datetime, int]:
    """The labels that a monitor run was given."""
    bucket, _, key = run.manifest_uri.removeprefix("s3://").partition("/")
    found = cloud.client("s3").get_object(Bucket=bucket, Key=f"{key.rpartition('/')[0]}/labels/labels.parquet")
    rows = pq.read_table(pa.BufferReader(found["Body"].read())).to_pylist()
    return {row["timestamp"].replace(tzinfo=UTC): row["class"] for row in rows}
