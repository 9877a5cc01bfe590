"""The parts of a window's rows by the values of a column."""

from __future__ import annotations

import pytest

from millrace.jobs.monitoring.labels import parts


@pytest.mark.parametrize("missing", [0, 5])
def test_numbers_with_many_values_are_cut_into_quarters_though_some_are_missing(missing: int) -> None:
    found = parts([*[None] * missing, *range(40)])
    numbers = {name: rows_N for name, rows_N in found.items() if name}
    assert [int(rows_N.sum()) for rows_N in numbers.values()] == [10, 10, 10, 10]
    assert not any(rows_N[:missing].any() for rows_N in numbers.values())
    assert sum(int(rows_N.sum()) for rows_N in found.values()) == 40 + missing


def test_other_values_are_parts_of_their_own() -> None:
    found = parts(["a", None, "b", "a"])
    assert {name: rows_N.tolist() for name, rows_N in found.items()} == {
        "": [False, True, False, False],
        "a": [True, False, False, True],
        "b": [False, False, True, False],
    }
