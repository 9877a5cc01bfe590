"""What the monitors of a version cannot watch and why, and what stands beside a window."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from millrace.console.queries.alarms import (
    Watched,
    find_limits,
)
from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.monitoring import (
    MonitoringBounds,
    find_rejected,
    served_windows,
    windows,
)
from millrace.console.queries.report import WorkloadReport
from millrace.evaluation.report import Evaluation
from millrace.messages.feedback import OverrideReport
from millrace.messages.monitor import ServedReport
from millrace.monitoring.calibration import PROMISED_WINDOWS, SLICES
from millrace.monitoring.error import FEWEST, ErrorBound, bound_of_days, error_bound
from millrace.tasks.metrics import FrozenErrors, WindowError
from millrace.workload.load import load_workload
from tests.console.conftest import stage_of
from tests.recorded import compare

ELECTRICITY = load_workload(Path("workloads/electricity"))
XRAY = load_workload(Path("workloads/xray"))
WEEKS = ["1996-10-02", "1996-10-09", "1996-10-16", "1996-10-23", "1996-11-20", "1996-11-27"]


def week(start: str, end: str) -> WindowError:
    return WindowError(start=start, end=end, rows=336, error=0.2)


@pytest.fixture
def evaluation(report: WorkloadReport) -> Evaluation:
    """A model whose history has no rows from 23 October to 20 November."""
    assert report.live is not None
    assert report.live.evaluation is not None
    weeks = tuple(week(start, end) for start, end in pairwise(WEEKS) if start != "1996-10-23")
    frozen = FrozenErrors(weeks=weeks)
    return report.live.evaluation.model_copy(update={"walk_forward": (frozen,), "weekly_error": weeks})


def watched(
    evaluation: Evaluation, *, windows: int = PROMISED_WINDOWS, run: int = SLICES, bound: float | None = 0.3
) -> Watched:
    bounds = MonitoringBounds.model_validate({"windows": windows, "run": run, "error": bound and {"bound": bound}})
    return Watched(bounds=bounds, evaluation=evaluation, workload=ELECTRICITY)


def of_test_rows(evaluation: Evaluation) -> Watched:
    days = np.repeat(np.arange(28), 48)
    found = bound_of_days((np.arange(len(days)) % 5 == 0).astype(float), days, days=7, rate=0.01, is_share=True)
    error = json.loads(TypeAdapter(ErrorBound).dump_json(found))
    bounds = MonitoringBounds.model_validate({"windows": PROMISED_WINDOWS, "run": SLICES, "error": error})
    return replace(watched(evaluation), bounds=bounds)


def without_errors(evaluation: Evaluation) -> Watched:
    """Enough windows, each without an error: the bound is not set, and too few windows are not the cause."""
    right = replace(week("1996-10-02", "1996-10-09"), error=0.0)
    length = ELECTRICITY.monitors.error_windows
    errors = [0.0] * (FEWEST + length)
    assert error_bound([errors], windows=length, rate=0.01) is None
    known = evaluation.model_copy(update={"walk_forward": (), "weekly_error": (right,) * len(errors)})
    return watched(known, bound=None)


LIMITED: Mapping[str, Callable[[Evaluation], Watched]] = {
    "no bound": lambda known: watched(known, bound=None),
    "no bound, no gap": lambda known: watched(known.model_copy(update={"walk_forward": ()}), bound=None),
    "a bound of the test rows": of_test_rows,
    "a history without an error": without_errors,
    "random rows without an error": lambda known: replace(without_errors(known), workload=XRAY),
    "few windows": lambda known: watched(known, windows=34),
    "windows of slices": lambda known: watched(known, windows=20, run=8),
    "random rows": lambda known: replace(watched(known), workload=XRAY),
}


def test_the_limits_of_a_version_are_recorded(evaluation: Evaluation) -> None:
    lines = []
    for name, made in LIMITED.items():
        found = find_limits(made(evaluation))
        assert found, name
        lines += [name, *(f"    {limit.sentence}" for limit in found)]
    compare(Path(__file__).parents[1] / "recorded/limits.txt", "\n".join(lines))


def test_what_people_overrode_outlasts_a_look_that_only_completes_a_row(report: WorkloadReport) -> None:
    run = report.monitor_runs[-1]
    window = run.report.windows[-1]
    told = OverrideReport(reviewed=60, error=0.45, expected=0.31, ratio=-0.52)
    looks = ({"error": window.error.model_copy(update={"overrides": told})}, {"input": None, "error": None})
    reports = [run.report.model_copy(update={"windows": (window.model_copy(update=look),)}) for look in looks]
    (found,) = windows([replace(run, report=each) for each in reports])
    assert (found.shifts[-1], "bound" in told.sentence) == (told.sentence, False)


def test_refused_rows_of_requests_are_read_by_day(report: WorkloadReport, account: None) -> None:
    environment = stage_of(report.names.platform)
    last, dimensions = report.windows[-1], [{"Name": "Workload", "Value": report.names.workload}]
    for hours, rows in ((1, 2.0), (23, 3.0), (25, 4.0)):
        at = datetime.combine(last.start, time(), UTC) + timedelta(hours=hours)
        datum = {"MetricName": "RejectedRows", "Value": rows, "Timestamp": at, "Dimensions": dimensions}
        environment.client("cloudwatch").put_metric_data(Namespace=report.names.platform.metrics, MetricData=[datum])
    found = find_rejected(environment, report.names, report.windows)
    assert found == {last.start: 5, last.start + timedelta(days=1): 4}
    assert find_rejected(environment, report.names, ()) == {}


def test_refused_rows_stand_beside_the_window_in_which_they_came(report: WorkloadReport) -> None:
    *quiet, last = report.windows
    served = ServedReport(fallback=1, review=30, reasons={}, calls=7, p50_ms=3, p95_ms=4, p99_ms=9)
    refused = (ReasonCount(reason="range", rows=2, example=""),)
    drops = [replace(one, as_of=f"{last.start}T06:00:00Z", reasons=refused) for one in report.drops[:2]]
    days = {last.start: 5, last.end: 7}
    before, found = served_windows([replace(one, served=served) for one in (quiet[-1], last)], drops, days)
    assert (before.refused, found.refused) == ({}, {"requests": 5, "range": 4})
    assert found.percentiles_ms == "3.0 / 4.0 / 9.0"
