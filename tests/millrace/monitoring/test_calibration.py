"""Bounds from historic windows: formulas against scipy, and the rate they are for on a stream that remembers."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from millrace.features.number import Number
from millrace.monitoring.baseline import build
from millrace.monitoring.calibration import PROMISED_WINDOWS, _of_others, gumbel
from millrace.monitoring.judgement import judge
from millrace.workload.declaration import Workload

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
