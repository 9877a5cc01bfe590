"""Bounds from historic windows: formulas against scipy, and the rate they are for on a stream that remembers."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy import stats

from millrace.features.number import Number
from millrace.monitoring.baseline import Baseline, build
from millrace.monitoring.calibration import PROMISED_WINDOWS, _of_others, gumbel
from millrace.monitoring.judgement import judge
from millrace.monitoring.statistics import STATISTICS
from millrace.workload.declaration import Workload
from tests.millrace.monitoring.conftest import Cut

DAY = 48


def test_gumbel_by_moments() -> None:
    values = np.random.default_rng(1).normal(2, 3, 50)
    scale = values.std(ddof=1) * np.sqrt(6) / np.pi
    reference = stats.gumbel_r(loc=values.mean() - np.euler_gamma * scale, scale=scale).isf(0.01)
    assert gumbel(values, 0.01) == pytest.approx(reference, rel=1e-12)


def test_moments_of_all_values_but_one() -> None:
    values = np.random.default_rng(2).lognormal(size=20)
    mean, sd = _of_others(values)
    for k in range(len(values)):
        others = np.delete(values, k)
        assert (mean[k], sd[k]) == pytest.approx((others.mean(), others.std(ddof=1)), rel=1e-9)


def stream(days: int, seed: int, features: tuple[str, ...]) -> pa.Table:
    """Columns that remember for about a week: an autoregression, 48 rows a day."""
    generator = np.random.default_rng(seed)
    shocks = generator.normal(size=(days * DAY, len(features)))
    values = np.empty_like(shocks)
    values[0] = shocks[0] / np.sqrt(1 - 0.99**2)
    for row in range(1, len(values)):
        values[row] = 0.99 * values[row - 1] + shocks[row]
    times = [datetime.fromisoformat("2001-01-01") + timedelta(minutes=30 * row) for row in range(len(values))]
    return pa.table({"timestamp": times} | {name: values[:, place] for place, name in enumerate(features)})


ABC = tuple(Number(name=name) for name in "abc")


def test_a_stream_without_drift_rarely_alarms_where_textbook_tests_always_do(workload: Workload) -> None:
    alarms = textbook = windows = 0
    for seed in range(3):
        table = stream(120 * 7, seed, ("a", "b", "c"))
        history, later = table.slice(0, 60 * 7 * DAY), table.slice(60 * 7 * DAY)
        baseline = build(history, workload=workload, features=ABC, error=None)
        assert baseline.windows >= PROMISED_WINDOWS
        for start in range(0, later.num_rows, 7 * DAY):
            window = later.slice(start, 7 * DAY)
            ratio = judge(baseline, window).ratio
            assert ratio is not None
            alarms += ratio > 1
            p = min(stats.ks_2samp(history[name], window[name]).pvalue for name in "abc")
            textbook += p < 0.01 / 3
            windows += 1
    assert windows == 180
    assert alarms <= 5  # the 99.9 % quantile of a binomial with 1 %
    assert textbook > 0.95 * windows


def test_independent_rows_rarely_alarm_and_a_shift_of_them_does(workload: Workload) -> None:
    generator = np.random.default_rng(5)

    def rows(count: int, shift: float = 0.0) -> pa.Table:
        return pa.table({name: generator.normal(shift, 1, count) for name in "abc"})

    times = stream(50 * 7, 0, ("a",))["timestamp"]
    history = rows(len(times)).append_column("timestamp", times)
    baseline = build(history, workload=workload, features=ABC, error=None)
    ratios = [judge(baseline, rows(7 * DAY, shift)).ratio or 0 for shift in [0.0] * 200 + [0.5] * 20]
    assert sum(ratio > 1 for ratio in ratios[:200]) <= 7
    assert min(ratios[200:]) > 1


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
        assert found.findings[0].statistic == "differing_rows"


def test_one_damaged_row_of_a_constant_column_is_no_alarm(baseline: Baseline, between: Cut) -> None:
    window = between(NEW_YEAR, NEW_YEAR + WEEK)
    place = window.column_names.index("vicprice")
    for damaged, alarms in ((1, False), (2, True)):
        cells = pa.array([0.5] * damaged + window["vicprice"].to_pylist()[damaged:])
        assert ((judge(baseline, window.set_column(place, "vicprice", cells)).ratio or 0) > 1) is alarms


@pytest.mark.parametrize("statistic", ["missing", "unseen"])
def test_missing_values_and_another_unit_alarm(statistic: str, baseline: Baseline, between: Cut) -> None:
    window = between(NEW_YEAR, NEW_YEAR + WEEK)
    holes = pa.array([None] * 60 + window["nswprice"].to_pylist()[60:], pa.float64())
    cells = holes if statistic == "missing" else pc.multiply(window["nswprice"], 1000)
    worst = judge(baseline, window.set_column(window.column_names.index("nswprice"), "nswprice", cells)).findings[0]
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
