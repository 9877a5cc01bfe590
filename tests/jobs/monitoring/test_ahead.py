"""The monitoring of a history that requests carry, and of answers whose truth is a later row: real hours of Beijing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.contract.load import load_contract
from millrace.decisions.record import Decision, canonical
from millrace.features import catalogue
from millrace.messages.monitor import MonitorReport
from millrace.monitoring.baseline import build
from millrace.monitoring.error import error_bound
from millrace.workload.load import load_workload
from tests import builders
from tests.jobs.monitoring.monitored import monitored, weeks

FOLDER = Path(__file__).resolve().parents[3] / "workloads" / "air_quality"
WORKLOAD = load_workload(FOLDER)
FEATURES = catalogue.declare(WORKLOAD.prediction.features, load_contract(FOLDER).rows)
SAMPLE = pq.read_table(FOLDER / "sample" / "beijing_pm25.parquet")
SAMPLE = SAMPLE.append_column("dew_spread", [SAMPLE["TEMP"].to_numpy() - SAMPLE["DEWP"].to_numpy()])
LIVE = datetime(2013, 3, 1)  # noqa: DTZ001 the contract's time has no zone
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WEEKS = 2
Row = Mapping[str, Any]
Change = Callable[[dict[str, Any]], dict[str, Any]]
ROWS: dict[datetime, dict[str, Any]] = {row["timestamp"]: row for row in SAMPLE.to_pylist()}


def before(end: datetime) -> pa.Table:
    """The hours before `end`, as the evaluation job reads them."""
    hours = SAMPLE.filter(pa.array([at < end for at in ROWS]))
    return catalogue.add_histories(FEATURES, hours)


BEFORE = before(LIVE)


def asked(at: datetime, change: Change) -> Decision:
    """The decision that answers what the air is now; `change` alters the hours of the request's past."""
    row = plain(ROWS[at])
    past = [change(plain(ROWS[at - hour * HOUR])) for hour in range(23, 0, -1)]
    named = ("timestamp", *catalogue.histories(FEATURES)[0].history)
    return builders.decision(
        id=f"d-{at:%m%d%H}",
        workload="air_quality",
        event_time=at.replace(tzinfo=UTC),
        key={"timestamp": at.isoformat()},
        input=canonical(row | {"history": [{name: hour[name] for name in named} for hour in past]}),  # type: ignore[dict-item]
        output={"value": row["pm2.5"] or 90.0},
    )


def plain(row: Row) -> dict[str, Any]:
    return {**row, "timestamp": row["timestamp"].isoformat()}


def report(
    folder: Path, change: Change = dict, *, declared: Path = FOLDER, first: bool = True, **given: Any
) -> MonitorReport:
    """Of two weeks of hourly decisions whose truth came as later rows."""
    calm = np.random.default_rng(0).normal(60, 5, 60).tolist()
    known = build(BEFORE, workload=WORKLOAD, features=FEATURES, error=error_bound([calm], windows=3, rate=0.01))
    hours = [LIVE + hour * HOUR for hour in range(WEEKS * 7 * 24)]
    truth = [{name: ROWS[at + DAY][name] for name in ("timestamp", "pm2.5")} for at in hours]
    table = pa.Table.from_pylist(truth, schema=SAMPLE.schema.remove(0).insert(0, SAMPLE.schema.field(0)))
    return monitored(
        folder,
        declared,
        baseline=known.to_json(),
        decisions=[asked(at, change) for at in hours],
        labels=table.select(["timestamp", "pm2.5"]).slice(0, 24 if declared != FOLDER else None),
        windows=[one | {"judge_input": first} for one in weeks(LIVE.replace(tzinfo=UTC), WEEKS)],
        **given,
    )


@pytest.mark.parametrize(("changed", "many"), [({}, 14), ({"PRES": 950.0}, 28)], ids=["calm", "drifted"])
def test_people_are_asked_for_a_later_row_once_it_is_past(changed: Row, many: int, tmp_path: Path) -> None:
    """At the end of the second week the truth of its last day is to come: it is asked for at the next look, and of a
    drifted week as many labels as a retraining needs."""
    declared = shutil.copytree(FOLDER, tmp_path / "air_quality", ignore=shutil.ignore_patterns("sample"))
    text = (declared / "workload.yaml").read_text().replace("\npolicy:\n", "\npolicy:\n  labels_a_day: 2\n")
    (declared / "workload.yaml").write_text(text.replace("drifted_labels: 400", "drifted_labels: 28"))
    end = LIVE.replace(tzinfo=UTC) + WEEKS * 7 * DAY
    for hours, asked_of in ((0, [many, 0]), (23, [many, 0]), (24, [many, many])):
        given = {"declared": declared, "as_of": (end + hours * HOUR).isoformat(), "first": hours == 0}
        found = report(tmp_path / str(hours), lambda hour: hour | changed, **given)
        assert ([len(one.wanted) for one in found.windows], found.label_hours) == (asked_of, 24)


def test_the_means_of_a_requests_past_are_watched_beside_its_own_columns(tmp_path: Path) -> None:
    found = report(tmp_path).windows[0].input
    past = {"history.pm2.5", "history.DEWP", "history.TEMP", "history.PRES", "history.Iws"}
    assert {one.column for one in found.findings} == past | {*SAMPLE.column_names[1:], "when.hour"}
    assert found.ratio < 1


@pytest.mark.parametrize(
    "change",
    [
        lambda hour: hour | {"PRES": 950.0},
        lambda hour: hour | {"PRES": None},
        lambda hour: hour | {"timestamp": "soon"},
    ],
    ids=["another unit", "a sensor is silent", "no past at all"],
)
def test_a_past_that_changes_alarms_by_its_column(tmp_path: Path, change: Change) -> None:
    """The row itself, the last step, is as it was."""
    found = report(tmp_path, change).windows[0].input
    above = {one.column for one in found.findings if one.ratio > 1}
    assert "history.PRES" in above
    assert "PRES" not in above


def test_the_error_is_that_of_the_row_a_day_later(tmp_path: Path) -> None:
    [week, _] = report(tmp_path).windows
    hours = [LIVE + hour * HOUR for hour in range(7 * 24)]
    errors = [
        abs((ROWS[at]["pm2.5"] or 90.0) - later) for at in hours if (later := ROWS[at + DAY]["pm2.5"]) is not None
    ]
    assert (week.error.answered, week.error.labelled) == (7 * 24, len(errors))
    assert week.error.error == pytest.approx(sum(errors) / len(errors))
