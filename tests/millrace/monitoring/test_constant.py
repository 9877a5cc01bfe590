"""The exact rule for constant columns."""

from __future__ import annotations

import pyarrow as pa
import pytest
from scipy import stats

from millrace.monitoring.sketch import allowed, constant


@pytest.mark.parametrize(("history", "window", "rate"), [(11_472, 336, 0.0017), (500, 500, 0.01), (100_000, 48, 0.01)])
def test_allowed_rows_are_the_beta_binomial_quantile(history: int, window: int, rate: float) -> None:
    found = allowed(history=history, window=window, rate=rate)
    law = stats.betabinom(window, 1, history + 1)
    assert law.sf(found) <= rate < (law.sf(found - 1) if found else 1)


def column(*cells: object) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(list(cells))])


def test_what_is_constant() -> None:
    assert constant(column(2.5, 2.5)) is not None
    assert constant(column(None, None).cast(pa.float64())) is not None
    assert constant(column(2.5, 2.6)) is None
    assert constant(column(2.5, None)) is None
    assert constant(column(2.5, float("nan"))) is None


def test_differing_rows_are_counted_exactly() -> None:
    found = constant(column(0.003467, 0.003467))
    assert found is not None
    assert found.differing(column(0.003467, 0.0034670001, None, float("nan"), 7.0)) == 2
    empty = constant(column(None, None).cast(pa.string()))
    assert empty is not None
    assert empty.differing(column("x", None)) == 1
    yes = constant(column(True, True))
    assert yes is not None
    assert yes.differing(column(True, False)) == yes.differing(column("true", "false")) == 1
