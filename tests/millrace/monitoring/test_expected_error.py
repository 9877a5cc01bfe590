"""The error that held-out rows let expect of others: of other mixes of rows, with an interval that holds it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from millrace.monitoring.baseline import random_windows
from millrace.monitoring.expected_error import ErrorModel, learn

Floats = npt.NDArray[np.float64]
WINDOWS, ROWS = 40, 4000


def world(seed: int, rows: int = ROWS, *, steep: float = 3.0, noise: float = 0.0) -> tuple[pa.Table, Floats]:
    """Answers with their intervals, and errors that grow with the width, and differ between two kinds of rows."""
    random = np.random.default_rng(seed)
    width_N, is_hard_N = random.beta(2, steep, rows), random.random(rows) < 1 / steep
    error_N = np.abs(random.normal(0, 1, rows)) * (width_N + is_hard_N) + random.normal(0, noise) ** 2
    value_N = random.normal(50, 10, rows)
    kind_N = np.where(is_hard_N, "hard", np.where(random.random(rows) < 0.1, None, "easy"))
    cells = {"output.value": value_N, "output.lower": value_N - width_N, "output.upper": value_N + width_N}
    return pa.table({**cells, "input.kind": kind_N, "input.age": np.where(is_hard_N, np.nan, 1.0)}), error_N


@pytest.fixture(scope="module")
def known() -> ErrorModel:
    rows, error_N = world(0)
    found = learn(rows, error_N, random_windows(np.arange(ROWS))[0])
    assert found is not None
    return found


@pytest.mark.parametrize("steep", [3.0, 2.0, 1.2])
def test_another_mix_of_rows_has_its_own_error_and_the_interval_holds_it(steep: float, known: ErrorModel) -> None:
    held, apart = [], []
    for seed in range(1, 201):
        rows, error_N = world(seed, 100, steep=steep)
        expected_N = known.expected(rows)
        low, high = known.interval(expected_N)
        held.append(low <= error_N.mean() <= high)
        apart.append(expected_N.mean() / error_N.mean() - 1)
    assert 0.93 <= np.mean(held) < 1
    assert abs(np.mean(apart)) < 0.05


def test_windows_that_differ_widen_the_interval(known: ErrorModel) -> None:
    parts = [world(seed, 100, noise=1.0) for seed in range(WINDOWS)]
    rows, error_N = pa.concat_tables([one for one, _ in parts]), np.concatenate([one for _, one in parts])
    found = learn(rows, error_N, np.repeat(np.arange(WINDOWS), 100))
    assert found is not None
    assert found.between > 10 * known.between
    assert learn(rows, error_N, np.repeat(np.arange(4), ROWS // 4)) is None, "too few windows"


def test_what_a_row_lacks_and_what_is_new_is_expected_as_of_rows_that_lacked_it(known: ErrorModel) -> None:
    rows, _ = world(1, 100)
    texts = rows.set_column(rows.schema.get_field_index("input.age"), "input.age", pa.array(["x"] * 100))
    for other in (rows.select(["output.value"]), texts, rows.set_column(3, "input.kind", pa.array(["new"] * 100))):
        found_N = known.expected(other)
        assert found_N.shape == (100,)
        assert np.isfinite(found_N).all()
        assert (found_N >= 0).all()
