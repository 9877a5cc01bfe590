"""Every statistic of the catalogue against a reference on the raw rows, over several kinds of column."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from millrace.monitoring.sketch import BINS, CELLS, NumericSketch, sketch
from millrace.monitoring.statistics.catalogue import STATISTICS, statistics_for

RNG = np.random.default_rng(7)
N = 20_000
NUMERIC = {
    "normal": (RNG.normal(size=N), RNG.normal(0.3, 1.2, size=3000)),
    "heavy tail": (RNG.lognormal(0, 1.5, size=N), RNG.lognormal(0.2, 1.5, size=3000)),
    "atoms": (
        np.where(RNG.random(N) < 0.7, 0.0, RNG.normal(size=N)),
        np.where(RNG.random(3000) < 0.5, 0.0, RNG.normal(size=3000)),
    ),
    "integers": (RNG.integers(0, 7, N).astype(float), RNG.integers(1, 8, 3000).astype(float)),
    "same": (RNG.normal(size=N), RNG.normal(size=3000)),
}
WORDS = np.array(["a", "b", "c", "d", "e"])
CATEGORICAL = (WORDS[RNG.integers(0, 4, N)], WORDS[RNG.integers(1, 5, 3000)])
SAMPLING = 1.6 / np.sqrt(3000)


def kolmogorov_smirnov(u: np.ndarray, v: np.ndarray) -> float:
    return float(stats.ks_2samp(u, v, method="asymp").statistic)


def wasserstein(u: np.ndarray, v: np.ndarray) -> float:
    """Over the middle 99.9 % of the reference, which is where the sketch measures areas."""
    low, high = np.quantile(u, [0.0005, 0.9995])
    return float(stats.wasserstein_distance(np.clip(u, low, high), np.clip(v, low, high)) / u.std())


def total_variation(u: np.ndarray, v: np.ndarray) -> float:
    return float(sum(abs(np.mean(u == word) - np.mean(v == word)) for word in WORDS) / 2)


def unseen(u: np.ndarray, v: np.ndarray) -> float:
    return float(np.mean(~np.isin(v, u)))


REFERENCES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "kolmogorov_smirnov": kolmogorov_smirnov,
    "wasserstein": wasserstein,
    "total_variation": total_variation,
}


def measured(name: str, u: np.ndarray, v: np.ndarray) -> float:
    column = pa.chunked_array([pa.array(u)])
    bins = sketch("x", column)
    return float(STATISTICS[name].distance(bins.reference(1.0), bins.count(pa.chunked_array([pa.array(v)]))))


@pytest.mark.parametrize("case", NUMERIC)
@pytest.mark.parametrize("name", [n for n in statistics_for("numeric") if n in REFERENCES])
def test_a_sketch_of_numbers_agrees_with_the_raw_rows(name: str, case: str) -> None:
    u, v = NUMERIC[case]
    # Between two edges lie at most 4/BINS of the reference, and as much of a window like it.
    assert measured(name, u, v) == pytest.approx(REFERENCES[name](u, v), abs=4 / BINS, rel=0.02)


@pytest.mark.parametrize("name", ["kolmogorov_smirnov", "wasserstein"])
def test_missing_rows_do_not_change_the_other_statistics(name: str) -> None:
    u, v = NUMERIC["same"]
    holes = np.where(np.arange(len(u)) % 10 == 0, np.nan, u)
    assert measured(name, holes, v) == pytest.approx(REFERENCES[name](u[~np.isnan(holes)], v), abs=0.01)
    assert measured(name, u, np.concatenate([v, np.full(500, np.nan)])) == pytest.approx(measured(name, u, v))


@pytest.mark.parametrize("case", NUMERIC)
def test_the_distance_at_the_edges_is_never_above_the_exact_one(case: str) -> None:
    u, v = NUMERIC[case]
    assert measured("kolmogorov_smirnov", u, v) <= kolmogorov_smirnov(u, v) + 2e-5


def test_a_sketch_of_categories_agrees_with_the_raw_rows() -> None:
    assert measured("total_variation", *CATEGORICAL) == pytest.approx(total_variation(*CATEGORICAL), abs=1e-6)
    assert measured("unseen", *CATEGORICAL) == pytest.approx(unseen(*CATEGORICAL), abs=1e-6)


def test_missing_is_the_difference_of_shares() -> None:
    reference = pa.chunked_array([pa.array([1.0, 2.0, None, 4.0] * 50)])
    window = pa.chunked_array([pa.array([1.0, None, float("nan"), 4.0])])
    bins = sketch("x", reference)
    distance = STATISTICS["missing"].distance(bins.reference(1.0), bins.count(window))
    assert float(distance) == pytest.approx(0.25)


def test_values_far_outside_are_unseen_and_those_just_outside_are_not() -> None:
    u = NUMERIC["normal"][0]
    assert measured("unseen", u, u[:500]) == 0
    assert measured("unseen", u, np.full(100, u.max() + 0.5)) == 0
    assert measured("unseen", u, u[:500] * 9 / 5 + 32) > 0.9
    assert measured("unseen", u, np.array([np.inf, -np.inf])) == 1


@pytest.mark.parametrize("case", NUMERIC)
def test_parts_and_windows_count_the_same_rows(case: str) -> None:
    u, v = NUMERIC[case]
    bins = sketch("x", pa.chunked_array([pa.array(u)]))
    whole = bins.count(pa.chunked_array([pa.array(v)]))
    parts = bins.count(pa.chunked_array([pa.array(v[:7]), pa.array(v[7:])]))
    windows = bins.count_windows(pa.chunked_array([pa.array(v)]), np.arange(len(v)) % 3, 3)
    assert np.array_equal(whole.bins, parts.bins)
    assert np.array_equal(whole.bins, windows.bins.sum(axis=0))


def test_a_like_window_errs_by_the_largest_bin_at_most() -> None:
    u = NUMERIC["heavy tail"][0]
    bins = sketch("x", pa.chunked_array([pa.array(u)]))
    assert isinstance(bins, NumericSketch)
    again = RNG.lognormal(0, 1.5, size=3000)
    cells_B = np.diff(np.append(bins.first_cells, CELLS))
    resolution = bins.reference(1).bins[cells_B > 1].max()  # the largest share of rows in a bin of more than one cell
    assert kolmogorov_smirnov(u, again) - measured("kolmogorov_smirnov", u, again) <= resolution + SAMPLING / 4
    assert 0 < resolution <= 4 / BINS
