"""The real stream: the first months after training pass, the week in which three columns come alive does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from millrace.monitoring.baseline import Baseline
from millrace.monitoring.judgement import judge
from millrace.monitoring.statistics import STATISTICS
from tests.millrace.monitoring.conftest import Cut

NEW_YEAR = datetime.fromisoformat("1997-01-01")
WEEK = timedelta(days=7)


def test_january_to_april_do_not_alarm(baseline: Baseline, between: Cut) -> None:
    ratios = [judge(baseline, between(NEW_YEAR + k * WEEK, NEW_YEAR + (k + 1) * WEEK)).ratio for k in range(17)]
    assert all(ratio is not None and ratio < 0.8 for ratio in ratios)


def test_the_week_of_4_may_alarms_on_the_three_columns(baseline: Baseline, between: Cut) -> None:
    for k in range(17, 25):
        found = judge(baseline, between(NEW_YEAR + k * WEEK, NEW_YEAR + (k + 1) * WEEK))
        alarming = {finding.column for finding in found.findings if finding.ratio > 10}
        assert alarming == {"vicprice", "vicdemand", "transfer"}
        assert found.worst is not None
        assert found.worst.statistic == "differing_rows"


def test_one_damaged_row_of_a_constant_column_is_no_alarm(baseline: Baseline, between: Cut) -> None:
    window = between(NEW_YEAR, NEW_YEAR + WEEK)
    place = window.column_names.index("vicprice")
    for damaged, alarms in ((1, False), (2, True)):
        cells = pa.array([0.5] * damaged + window["vicprice"].to_pylist()[damaged:])
        ratio = judge(baseline, window.set_column(place, "vicprice", cells)).ratio
        assert ratio is not None
        assert (ratio > 1) is alarms


@pytest.mark.parametrize("statistic", ["missing", "unseen"])
def test_missing_values_and_another_unit_alarm(statistic: str, baseline: Baseline, between: Cut) -> None:
    window = between(NEW_YEAR, NEW_YEAR + WEEK)
    holes = pa.array([None] * 60 + window["nswprice"].to_pylist()[60:], pa.float64())
    cells = holes if statistic == "missing" else pc.multiply(window["nswprice"], 1000)
    worst = judge(baseline, window.set_column(window.column_names.index("nswprice"), "nswprice", cells)).worst
    assert worst is not None
    assert (worst.column, worst.statistic, worst.ratio > 1) == ("nswprice", statistic, True)


def test_a_thin_window_is_judged_by_wider_bounds(baseline: Baseline, between: Cut) -> None:
    """Wherever in a week it begins: five days have no Sunday, half a day has no night."""
    for hours in (12, 24, 60, 120):
        for start in range(0, 24 * 28, 12):
            begin = NEW_YEAR + timedelta(hours=start)
            found = judge(baseline, between(begin, begin + timedelta(hours=hours)))
            assert found.ratio is not None
            assert found.ratio < 1
    day = between(NEW_YEAR, NEW_YEAR + timedelta(days=1))
    place = day.column_names.index("nswprice")
    assert (judge(baseline, day.set_column(place, "nswprice", pc.multiply(day["nswprice"], 1000))).ratio or 0) > 1


def test_a_handful_of_rows_is_not_judged(baseline: Baseline, between: Cut) -> None:
    found = judge(baseline, between(NEW_YEAR, NEW_YEAR + timedelta(hours=4)))
    assert (found.rows, found.findings, found.ratio) == (8, (), None)


def test_a_statistic_that_the_baseline_does_not_know_waits_for_the_next_training(
    baseline: Baseline, between: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The live champion's file was written before the catalogue had it; a fixed bound needs no history."""
    window = between(NEW_YEAR, NEW_YEAR + WEEK)
    known = judge(baseline, window)
    calibrated = STATISTICS["wasserstein"]
    monkeypatch.setitem(STATISTICS, "energy", calibrated)
    assert judge(baseline, window) == known
    monkeypatch.setitem(STATISTICS, "outside", replace(calibrated, fixed_bound=0.5))
    assert {finding.statistic for finding in judge(baseline, window).findings} == {
        *(finding.statistic for finding in known.findings),
        "outside",
    }
