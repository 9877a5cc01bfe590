from __future__ import annotations

import numpy as np
import pytest

from millrace.evaluation.bootstrap import days, successive
from millrace.evaluation.comparison import compare

TIMES = np.arange("1996-12-01", "1996-12-29", dtype="datetime64[m]")[::30]
DAYS = len(TIMES) // 48


def drawn(rng: np.random.Generator, accuracy: float) -> np.ndarray:
    """Wrong answers (1.0) that come and go by days, as on the real stream."""
    by_day = np.clip(accuracy + rng.normal(0, 0.15, DAYS), 0, 1)
    return (rng.random(len(TIMES)) >= np.repeat(by_day, 48)).astype(float)


@pytest.mark.parametrize(("of_days", "is_known"), [(1, False), (4, False), (5, True)])
def test_rows_of_a_few_days_have_no_bound(of_days: int, is_known: bool) -> None:
    """Of one day the bound would be the difference itself."""
    rng = np.random.default_rng(0)
    rows = slice(of_days * 48)
    compared = compare(drawn(rng, 0.8)[rows], drawn(rng, 0.8)[rows], days(TIMES[rows]), confidence=0.95)
    assert bool(np.isfinite(compared.lower_bound)) == is_known
    assert np.isfinite(compared.difference)


@pytest.mark.parametrize("rows", [7, 200, 1001])
def test_rows_without_a_time_are_drawn_by_blocks_of_neighbours(rows: int) -> None:
    """Where neighbours are alike, blocks give a wider bound than the same rows shuffled."""
    rng = np.random.default_rng(0)
    runs = np.repeat(rng.random(rows // 5 + 1), 5)[:rows]
    compared = compare(runs, np.full(rows, 0.5), successive(rows), confidence=0.95)
    assert compared.rows == rows
    assert compared.lower_bound < compared.difference
    if rows > 1000:
        shuffled = compare(rng.permutation(runs), np.full(rows, 0.5), successive(rows), confidence=0.95)
        assert compared.lower_bound < shuffled.lower_bound
