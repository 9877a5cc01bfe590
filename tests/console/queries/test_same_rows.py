"""Which rows another table still has with the same cells."""

from __future__ import annotations

import pyarrow as pa

from console.queries.same_rows import also_in


def test_rows_are_found_in_files_of_another_width_and_of_fewer_columns() -> None:
    own = pa.table({"k": pa.array([1, 2, 3], pa.int32()), "x": pa.array([0.5, None, 1], pa.float32()), "y": [None] * 3})
    now = [pa.table({"k": [2, 1], "x": [None, 0.5]}), pa.table({"k": [3], "x": [1.0], "y": ["b"]})]
    assert also_in(own, now, key=("k",), columns=("k", "x", "y"))["k"].to_pylist() == [1, 2]
    assert also_in(own, [], key=("k",), columns=("k", "x", "y")).num_rows == 0


def test_lists_are_compared_number_by_number() -> None:
    def rows(*pasts: list[float | None] | None) -> pa.Table:
        return pa.table({"k": list(range(len(pasts))), "past": pa.array(pasts, pa.list_(pa.float32(), 2))})

    own = rows([1, 2], [1, 2], [None, 2], [None, 2], None, [1, 2], [float("nan"), 2])
    now = rows([1, 2], [1, 3], [None, 2], [1, 2], None, None, [None, 2])
    assert also_in(own, [now.take(list(reversed(range(7))))], key=("k",), columns=("k", "past"))["k"].to_pylist() == [
        0, 2, 4, 6,
    ]  # fmt: skip
    assert also_in(own, [now.slice(7)], key=("k",), columns=("k", "past")).num_rows == 0
