"""Tags and lists in a cell become columns, and a label of tags several labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from millrace.console.new.read import read_source
from millrace.console.new.roles import Choices
from millrace.console.new.shared_cells import part_cells
from tests.console.new.conftest import Row, Writer, written


def rows_of(cell: Callable[[int], Any]) -> list[Row]:
    """Rows whose labels follow `heat`, but for every fifth: else it would give them away."""
    return [
        {
            "heat": heat_of(at),
            "x": cell(at),
            "cold": int(heat_of(at + at % 5) < 30),
            "hot": int(heat_of(at + at % 5) > 60),
        }
        for at in range(300)
    ]


def heat_of(at: int) -> float:
    return at * 7 % 90 + 0.5


@pytest.mark.parametrize(
    ("cell", "columns"),
    [
        (lambda at: ";".join(["red", "blue"][: at % 3]), ["x_blue", "x_red"]),
        (lambda at: "|".join(["very red", "blue"][: at % 3]), ["x_blue", "x_very_red"]),
        (lambda at: str(["red", "blue"][: at % 3]), ["x_blue", "x_red"]),
        (lambda at: ", ".join(["Crime", "Drama"][: 1 + at % 2]), ["x_Crime", "x_Drama"]),
        (lambda at: str([at, at * 0.5, -at]), ["x_1", "x_2", "x_3"]),
        (lambda at: f"({at}; 3)" if at % 2 else f"({at})", ["x_1", "x_2"]),
        (lambda at: "Paris, France" if at % 2 else "Rome, Italy", []),
        (lambda at: ["red", "blue"][at % 2], []),
        (lambda at: f"{at},5", []),
        (lambda at: f"note {at}; other {at}", []),
    ],
    ids=["tags", "bars", "quoted", "genres", "numbers", "pairs", "places", "classes", "decimals", "texts"],
)
def test_a_cell_of_several_things_has_a_column_for_each(
    cell: Callable[[int], Any], columns: list[str], as_csv: Writer
) -> None:
    source, _ = part_cells(read_source(as_csv(rows_of(cell))), Choices(name="market", label="cold"))
    assert [name for name in source.table.column_names if name.startswith("x_")] == columns
    assert ("x" in source.table.column_names) is (not columns)


def test_lists_of_parquet_are_parted_too(tmp_path: Path) -> None:
    table = pa.table(
        {"x": [["a"] * (at % 2) + [" b", None] for at in range(300)], "y": [[1.0, at] for at in range(300)]}
    )
    source, _ = part_cells(read_source(written(tmp_path / "rows.parquet", table)), Choices(name="market"))
    assert source.table.schema == pa.schema(
        [("x_a", pa.bool_()), ("x_b", pa.bool_()), ("y_1", pa.float64()), ("y_2", pa.float64())]
    )
