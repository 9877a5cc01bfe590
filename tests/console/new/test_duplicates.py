"""What comes more than once in a file is told: copies of columns, equal rows, equal images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from millrace.console.new.duplicates import copies, equal_images, equal_rows
from millrace.console.new.read import read_source
from millrace.console.new.roles import Choices
from millrace.console.new.shared_cells import part_cells
from tests.console.new.conftest import Row, Writer, observed, written

NUMBERS = np.random.default_rng(0).normal(0, 1, 100).round(3).tolist()
WORDS = ["north", "south", "east", None] * 25


@pytest.mark.parametrize(
    ("first", "other", "is_copy"),
    [
        (NUMBERS, NUMBERS, True),
        (NUMBERS, [2 * number for number in NUMBERS], False),
        (WORDS, WORDS, True),
        (WORDS, ["north", "south", "east", "east"] * 25, False),
        (WORDS, ["north", "south", None, "east"] * 25, False),
        ([1, 2] * 50, [1.0, 2.0] * 50, True),
        (["same"] * 100, ["same"] * 100, False),
    ],
    ids=["numbers", "other unit", "words", "a gap is filled", "a gap is elsewhere", "whole numbers", "constants"],
)
def test_a_copy_is_left_out(first: Any, other: Any, is_copy: bool) -> None:
    seen = [observed(first, name="first"), observed([0, 1, 2, 3, 4] * 20, name="apart"), observed(other, name="other")]
    assert [one.name for one in copies(seen)] == ["other"] * is_copy


@pytest.mark.parametrize(("different", "told"), [(100, 0), (999, 1)])
def test_one_equal_row_is_told_where_rows_are_not_equal_by_chance(different: int, told: int) -> None:
    """Of a thousand rows the last repeats the first; the number has so many different values."""
    number = [n % different for n in range(999)]
    rows = pa.table({"id": range(1000), "number": [*number, 0], "word": [*(str(n // 100) for n in range(999)), "0"]})
    assert len(list(equal_rows(rows, ["id"]))) == told


@pytest.mark.parametrize("columns", [110, 300])
def test_many_columns_have_more_combinations_than_a_float_can_say(columns: int) -> None:
    rows = pa.table({"id": range(2000)} | {f"c{at}": [(n + at) % 900 for n in range(2000)] for at in range(columns)})
    assert len(list(equal_rows(rows, ["id"]))) == 1


def test_an_image_with_two_labels_is_told():
    rows = pa.table(
        {
            "id": ["a/1", "b/1", "b/2", "b/3", "a/2"],
            "image": pa.array([b"same", b"same", b"other", b"other", None], pa.binary()),
            "label": ["a", "b", "b", "b", "a"],
        }
    )
    said = [*equal_images(rows, "label", ["id"])]
    assert "image: the same image with different labels, 1×: a/1 ('a') and b/1 ('b'): no model is right on both" in said
    assert "image: 1 image repeats another one of the same label: the same image may train and test" in said
    assert not [*equal_images(rows.slice(1, 2), "label", ["id"])]


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
