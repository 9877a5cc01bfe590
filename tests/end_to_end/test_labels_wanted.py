"""The monitor asks people for ten labels a day, and judges the window by them: queue, answers, interval."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from console.actions.reviews import Reviewer
from console.environment import Environment, local_environment
from console.local_cloud.local_cloud import PLATFORM, LocalCloud
from console.queries.executions import executions
from console.queries.monitoring import MonitorRun, read_monitor_runs, windows
from console.queries.reviews import list_waiting
from millrace.names import WorkloadNames
from tests.electricity import SAMPLE, changed_electricity, drop

NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
CLOCK = datetime.fromisoformat("1997-01-10T08:00:00+00:00")
START = datetime.fromisoformat("1997-01-11T00:00:00+00:00")
KNOWN, WEEK, A_DAY, REST_S = 11_500, 7 * 48, 10, 300.0
CHANGES = {"cron(0 6 1,15 * ? *)": "cron(0 6 * * ? *)", "cron(0 7 1 1,7 ? *)": "cron(0 7 1 1 ? 2199)"}
POLICY = "\npolicy:\n  labels_a_day: 10\n  review: {hours: 48}\n"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A version is live, and a week of decisions is over without a label."""
    folder = tmp_path_factory.mktemp("labels")
    with changed_electricity(folder, clock=CLOCK, added=POLICY, changes=CHANGES) as cloud:
        table = pq.read_table(SAMPLE)
        drop(cloud, "training/known", table.slice(0, KNOWN))
        first = table["timestamp"].to_pylist().index(START.replace(tzinfo=None))
        asked = table.slice(first, WEEK).drop_columns(["class"]).to_pylist()
        rows = [row | {"timestamp": row["timestamp"].isoformat()} for row in asked]
        payload = json.dumps({"id": "week", "rows": rows})
        cloud.client("lambda").invoke(FunctionName=NAMES.prediction, Payload=payload)
        cloud.wait(timeout_s=REST_S)
        scheduled(cloud, START + timedelta(days=7, hours=7))
        yield cloud


@pytest.fixture
def environment(cloud: LocalCloud) -> Environment:
    return local_environment(cloud)


def scheduled(cloud: LocalCloud, until: datetime) -> None:
    """Time passes, and the schedule starts the monitor."""
    cloud.move_clock(until)
    cloud.wait(timeout_s=REST_S)


def runs(environment: Environment) -> tuple[MonitorRun, ...]:
    found = executions(environment.client("stepfunctions"), NAMES, limit=50, machines=("monitor",))
    return read_monitor_runs(environment.client("s3"), found)


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
    assert window.expected is not None
    assert 0.05 < window.expected < 0.4


def test_their_answers_judge_the_window_with_its_interval(environment: Environment, cloud: LocalCloud) -> None:
    person = Reviewer.of(environment, NAMES, source="terminal", by="arn:aws:sts::123456789012:assumed-role/People/ann")
    answered = 0
    while held := person.next():
        person.answer(held, truth(held.item.event_time), seconds=3)
        answered += 1
    assert answered == 7 * A_DAY
    person.finish()
    cloud.wait(timeout_s=REST_S)
    scheduled(cloud, START + timedelta(days=8, hours=7))
    (window,) = windows(runs(environment))
    assert window.labelled == 7 * A_DAY
    assert window.mean_error is not None
    assert window.low is not None
    assert window.high is not None
    assert window.low < window.mean_error < window.high
    assert window.high - window.low < 0.3
    # What nobody was asked about: the whole week's error lies in the interval.
    assert window.low <= whole_error(environment) <= window.high
    before, after = (run.report.windows[-1].error for run in runs(environment)[-2:])
    assert before is not None
    assert after is not None
    assert (before.settled, after.settled) == (False, True)
    assert not list_waiting(environment, NAMES, limit=10), "nobody is asked twice"


def whole_error(environment: Environment) -> float:
    from console.queries.decisions import find_days

    decisions = [one for day in find_days(environment, NAMES) for one in day.decisions]
    wrong: list[Any] = [one.value != truth(one.event_time) for one in decisions]
    assert len(wrong) == WEEK
    return sum(wrong) / len(wrong)
