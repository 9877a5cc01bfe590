"""What the monitors of a version cannot watch: of which windows, and why."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from console.queries.monitoring import MonitoringBounds
from console.queries.monitoring_limits import Watched, find_limits, missing_labels
from console.queries.report import WorkloadReport
from millrace.evaluation.report import Evaluation, FrozenErrors, WindowError
from millrace.monitoring.baseline import BASELINE_FILE, PROMISED_WINDOWS
from millrace.monitoring.error import FEWEST, lowest_of
from millrace.workload.load import load_workload

ELECTRICITY = load_workload(Path("workloads/electricity"))
XRAY = load_workload(Path("workloads/xray"))
WEEKS = ["1996-10-02", "1996-10-09", "1996-10-16", "1996-10-23", "1996-11-20", "1996-11-27"]


def week(start: str, end: str) -> WindowError:
    return WindowError.model_validate({"from": start, "to": end, "rows": 336, "error": 0.2})


@pytest.fixture
def evaluation(report: WorkloadReport) -> Evaluation:
    """A model whose history has no rows from 23 October to 20 November."""
    assert report.live is not None
    assert report.live.evaluation is not None
    weeks = tuple(week(start, end) for start, end in pairwise(WEEKS) if start != "1996-10-23")
    frozen = FrozenErrors(trained_until="1996-10-02", weeks=weeks)
    return report.live.evaluation.model_copy(update={"walk_forward": (frozen,), "weekly_error": weeks})


def watched(evaluation: Evaluation, *, windows: int = PROMISED_WINDOWS, bound: float | None = 0.3) -> Watched:
    bounds = MonitoringBounds.model_validate({"windows": windows, "error": bound and {"bound": bound}})
    return Watched(bounds=bounds, evaluation=evaluation, workload=ELECTRICITY)


def test_a_version_with_bounds_on_enough_windows_has_no_limits(evaluation: Evaluation) -> None:
    assert find_limits(watched(evaluation)) == ()
    assert find_limits(None) == ()


def test_an_error_without_a_bound_is_not_watched(evaluation: Evaluation) -> None:
    (limit,) = find_limits(watched(evaluation, bound=None))
    assert limit.sentence == (
        "error watching is off: no bound was set, 4 of the 40 stretches of 3 windows that a bound needs were there; "
        "no rows from 1996-10-23 to 1996-11-20"
    )
    whole = evaluation.model_copy(update={"walk_forward": ()})
    assert "no rows from" not in find_limits(watched(whole, bound=None))[0].why


def test_stretches_are_counted_as_the_bound_counts_them(evaluation: Evaluation) -> None:
    series = [[week.error for week in each.weeks] for each in evaluation.walk_forward]
    series.append([week.error for week in evaluation.weekly_error])
    length = ELECTRICITY.monitors.error_windows
    assert watched(evaluation).stretches == sum(len(lowest_of(errors, length)) for errors in series) < FEWEST


def test_a_rate_that_is_not_promised_is_told(evaluation: Evaluation) -> None:
    (limit,) = find_limits(watched(evaluation, windows=34))
    assert limit.what == "the false alarm rate is not promised"
    assert limit.why == "0.01 for each window holds from 40 windows of history on, 34 were there"
    (limit,) = find_limits(replace(watched(evaluation), workload=XRAY))
    assert limit.why == "the rows are not split by time, and random parts of them stand for windows"


def test_windows_without_labels_are_told(report: WorkloadReport) -> None:
    first, *others = report.windows
    found = missing_labels([replace(first, labelled=0, decisions=336), *others])
    assert found is not None
    assert found.why.startswith(f"1 of {len(report.windows)} windows, {first.start} to {first.end}, 336 decisions")
    assert missing_labels([replace(window, labelled=1) for window in report.windows]) is None


def test_the_file_is_the_one_that_the_evaluation_writes() -> None:
    from console.queries import monitoring_limits

    assert monitoring_limits.BASELINE_FILE == BASELINE_FILE
