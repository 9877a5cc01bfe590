"""Every statistic of the catalogue against a reference on the raw rows, over several kinds of column."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from millrace.monitoring.sketch import BINS, CELLS, NumericSketch, sketch
from millrace.monitoring.statistics import STATISTICS, ValueKind, statistics_for

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
    "holes": (
        np.where(RNG.random(N) < 0.1, np.nan, RNG.normal(size=N)),
        np.where(RNG.random(3000) < 0.3, np.nan, RNG.normal(0.2, 1, size=3000)),
    ),
    "sentinels": (RNG.normal(size=N), np.where(RNG.random(3000) < 0.2, -999.0, RNG.normal(size=3000))),
}
WORDS = np.array(["a", "b", "c", "d", "e"])
CATEGORICAL = {
    "moved": (WORDS[RNG.integers(0, 4, N)], WORDS[RNG.integers(1, 5, 3000)]),
    "holes": (
        np.where(RNG.random(N) < 0.1, None, WORDS[RNG.integers(0, 4, N)]),
        np.where(RNG.random(3000) < 0.3, None, WORDS[RNG.integers(0, 4, 3000)]),
    ),
}
COLUMNS: dict[ValueKind, dict[str, tuple[np.ndarray, np.ndarray]]] = {"numeric": NUMERIC, "categorical": CATEGORICAL}


def kolmogorov_smirnov(u: np.ndarray, v: np.ndarray) -> float:
    return float(stats.ks_2samp(u, v, method="asymp").statistic)


def wasserstein(u: np.ndarray, v: np.ndarray) -> float:
    """Over the middle 99.9 % of the reference, which is where the sketch measures areas."""
    low, high = np.quantile(u, [0.0005, 0.9995])
    return float(stats.wasserstein_distance(np.clip(u, low, high), np.clip(v, low, high)) / u.std())


def total_variation(u: np.ndarray, v: np.ndarray) -> float:
    return float(sum(abs(np.mean(u == word) - np.mean(v == word)) for word in WORDS) / 2)


def unseen_number(u: np.ndarray, v: np.ndarray) -> float:
    """The share of rows with no row of the reference within 5 % of its range."""
    sorted_u, reach = np.sort(u), 0.05 * np.ptp(u)
    return float(np.mean(np.searchsorted(sorted_u, v - reach) == np.searchsorted(sorted_u, v + reach, side="right")))


def missing(u: np.ndarray, v: np.ndarray) -> float:
    return float(abs(np.mean(has_value(u)) - np.mean(has_value(v))))


def has_value(u: np.ndarray) -> np.ndarray:
    return ~pa.array(u).is_null(nan_is_null=True).to_numpy(zero_copy_only=False)


Reference = Callable[[np.ndarray, np.ndarray], float]


def of_values(reference: Reference) -> Reference:
    """The reference on the rows that have a value."""
    return lambda u, v: reference(u[has_value(u)], v[has_value(v)])


REFERENCES: dict[tuple[str, ValueKind], Reference] = {
    ("kolmogorov_smirnov", "numeric"): of_values(kolmogorov_smirnov),
    ("wasserstein", "numeric"): of_values(wasserstein),
    ("total_variation", "categorical"): of_values(total_variation),
    ("unseen", "numeric"): of_values(unseen_number),
    ("unseen", "categorical"): of_values(lambda u, v: float(np.mean(~np.isin(v.astype(str), u.astype(str))))),
    ("missing", "numeric"): missing,
    ("missing", "categorical"): missing,
}
"""The same figure on the raw rows, by statistic and kind of column."""
CASES = [(name, kind, case) for kind, columns in COLUMNS.items() for name in statistics_for(kind) for case in columns]


def measured(name: str, u: np.ndarray, v: np.ndarray) -> float:
    column = pa.chunked_array([pa.array(u)])
    bins = sketch("x", column)
    return float(STATISTICS[name].distance(bins.reference(1.0), bins.count(pa.chunked_array([pa.array(v)]))))


def test_every_statistic_has_a_reference_for_each_of_its_kinds() -> None:
    assert set(REFERENCES) == {(name, kind) for name, statistic in STATISTICS.items() for kind in statistic.kinds}


@pytest.mark.parametrize(("name", "kind", "case"), CASES)
def test_a_sketch_agrees_with_the_raw_rows(name: str, kind: ValueKind, case: str) -> None:
    u, v = COLUMNS[kind][case]
    # Between two edges lie at most 4/BINS of the reference, and as much of a window like it.
    error = 4 / BINS if kind == "numeric" else 1e-6
    assert measured(name, u, v) == pytest.approx(REFERENCES[name, kind](u, v), abs=error, rel=0.02)


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
    assert kolmogorov_smirnov(u, again) - measured("kolmogorov_smirnov", u, again) <= resolution + 0.4 / np.sqrt(3000)
    assert 0 < resolution <= 4 / BINS
