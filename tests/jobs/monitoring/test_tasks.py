"""The monitoring of every task: what encoders monitor, and the error as the task counts it, on made-up rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from millrace.contract.load import load_contract
from millrace.decisions.record import Decision, canonical
from millrace.features.catalogue import declare
from millrace.jobs.runtime import ProcessingPlaces
from millrace.messages.monitor import MonitorReport
from millrace.monitoring.alarms import RATIO_ALARMS
from millrace.monitoring.baseline import build
from millrace.monitoring.error import error_bound
from millrace.tasks.catalogue import TASKS
from tests import builders
from tests.jobs.monitoring.monitored import WEEK, prepared, report_of, weeks
from tests.plant import DAYS, START, Plant, plant_output, plant_rows, write_plant

FIRST = START.replace(tzinfo=UTC) + timedelta(days=DAYS - 28)


@dataclass(frozen=True, kw_only=True)
class Given:
    """A plant as its monitors find it: the answers of the last four weeks, and the baseline of the rows before."""

    plant: Plant
    recent: pa.Table
    answers: list[Any]
    """Of a good model; every other one is given for the opposite load, which is wrong nearly always."""
    errors: list[float]
    """The mean error of those answers in each week; of the last rows a label ahead never comes."""
    baseline: str


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Given]:
    return cache(lambda task: make_given(write_plant(tmp_path_factory.mktemp(task), task)))


def make_given(plant: Plant) -> Given:
    table = plant_rows(plant.task.kind)
    edge = pc.less(table["at"], pa.scalar(FIRST.replace(tzinfo=None), table["at"].type))
    history, recent = table.filter(edge), table.filter(pc.invert(edge))
    opposite = recent.set_column(recent.schema.get_field_index("load"), "load", pc.negate(recent["load"]))
    good, bad = (plant.task.answers(plant_output(plant, each))["value"].tolist() for each in (recent, opposite))
    answers = [pair[number % 2] for number, pair in enumerate(zip(good, bad, strict=True))]
    found = [
        np.nan if label is None else plant.task.error(value, label)
        for value, label in zip(answers, plant.labels(recent).to_pylist(), strict=True)
    ]
    errors = np.nanmean(np.array(found).reshape(4, -1), axis=1).tolist()
    features = declare(plant.workload.prediction.features, load_contract(plant.folder).rows)
    level = 0.4 * float(np.mean(errors))
    calm = np.random.default_rng(0).normal(level, level / 20, 60).tolist()
    monitors = plant.workload.monitors
    bound = error_bound([calm], windows=monitors.error_windows, rate=monitors.false_alarm_rate)
    known = build(history, workload=plant.workload, features=features, error=bound)
    return Given(plant=plant, recent=recent, answers=answers, errors=errors, baseline=known.to_json())


def prepare(folder: Path, given: Given, changes: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> ProcessingPlaces:
    """Folders of a job over the last four weeks; every other answer is wrong."""
    plant, recent = given.plant, given.recent
    asked = recent.drop_columns(list(plant.workload.prediction.label_columns))
    rows = enumerate(zip(asked.to_pylist(), given.answers, strict=True))
    return prepared(
        folder,
        plant.folder,
        baseline=given.baseline,
        decisions=[decided(number, changes(row), value) for number, (row, value) in rows],
        labels=recent.select(["at", "site", *plant.workload.prediction.label_columns]),
        windows=weeks(FIRST, 4),
    )


def decided(number: int, row: dict[str, Any], value: Any) -> Decision:
    at: datetime = row["at"].replace(tzinfo=UTC)
    cells = row | {"at": row["at"].isoformat()}
    return builders.decision(
        id=f"d-{number}",
        workload="plant",
        event_time=at,
        key={"at": cells["at"], "site": cells["site"]},
        input=canonical(cells),
        output={"value": value},
    )


@pytest.fixture(scope="module", params=TASKS)
def as_before(
    request: pytest.FixtureRequest, given: Callable[[str], Given], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Given, MonitorReport]:
    """Of each task what the job reports of rows that have not changed."""
    plant = given(request.param)
    return plant, report_of(prepare(tmp_path_factory.mktemp("as-before"), plant))


def test_the_error_is_the_tasks_and_alarms_above_its_bound(as_before: tuple[Given, MonitorReport]) -> None:
    plant, report = as_before
    found = [window.error for window in report.windows]
    assert [one and one.error for one in found] == pytest.approx(plant.errors, rel=1e-6)
    assert [one is not None and one.ratio is not None and one.ratio > 1 for one in found] == [False, False, True, True]
    assert report.error_cursor == FIRST + 4 * WEEK


def test_rows_as_before_do_not_alarm(as_before: tuple[Given, MonitorReport]) -> None:
    _, report = as_before
    drift = RATIO_ALARMS["input-drift"].ratio(report)
    assert drift <= 1
    found = report.windows[0].input
    assert {finding.column for finding in found.findings} == {"load", "kind", "open"}


@pytest.mark.parametrize(
    ("column", "value"), [("load", 3.0), ("kind", "fan"), ("open", True), ("load", "much"), ("kind", None)]
)
def test_a_column_of_each_encoder_that_changes_alarms(
    tmp_path: Path, given: Callable[[str], Given], column: str, value: Any
) -> None:
    places = prepare(tmp_path, given("binary"), lambda row: row | {column: value})
    found = report_of(places).windows[0].input
    assert found.ratio > 1
    assert found.findings[0].column == column


def test_a_champion_of_other_features_is_watched_by_its_own(tmp_path: Path, given: Callable[[str], Given]) -> None:
    """The declaration has changed since the baseline was made: `load` is no feature any more."""
    places = prepare(tmp_path, given("binary"), lambda row: row | {"load": 3.0})
    now = write_plant(tmp_path / "now", "binary", ["extra"])
    (places.root / "processing/config/workload.yaml").write_bytes((now.folder / "workload.yaml").read_bytes())
    found = report_of(places).windows[0].input
    assert found.ratio > 1
    assert found.findings[0].column == "load"
