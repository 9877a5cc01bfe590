"""A number that means that nothing is known means it in every format, and in a call for predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.contract.csv_form import CsvForm
from millrace.contract.row import as_declared, check_row
from millrace.contract.schema import Column, Table
from millrace.files.sniff import read_drop

WORDS = ("NA", "-999", "-999.9", "0.1")


def table_of(kind: Any, form: CsvForm | None = None, words: tuple[str, ...] = WORDS) -> Table:
    columns = (Column(name="id", kind="string"), Column(name="x", kind=kind, missing_words=words))
    return Table(name="rows", columns=columns, csv=form or CsvForm()).with_missing_numbers()


def read(path: Path, table: Table) -> list[Any]:
    """Of each row its cell, or `refused`."""
    found: dict[str, Any] = {}
    for part in read_drop(path, table):
        found |= {row["id"]: row["x"] for row in part.rows.to_pylist()}
        found |= {
            json.loads(row.raw)["id"] if row.raw.startswith("{") else row.raw[0]: "refused" for row in part.unparsable
        }
    return [found[name] for name in sorted(found)]


def verdicts(tmp_path: Path, table: Table, cells: list[Any], stored: pa.DataType) -> dict[str, list[Any]]:
    """What becomes of the cells of a column in each format, and in requests."""
    ids = [chr(ord("a") + at) for at in range(len(cells))]
    rows = [{"id": name, "x": cell} for name, cell in zip(ids, cells, strict=True)]
    texts = {
        "csv": "id,x\n" + "".join(f"{row['id']},{row['x']}\n" for row in rows),
        "json": "".join(json.dumps(row) + "\n" for row in rows),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    pq.write_table(pa.table({"id": ids, "x": pa.array(cells).cast(stored)}), tmp_path / "parquet")
    answers = {name: read(tmp_path / name, table) for name in (*texts, "parquet")}
    declared = [as_declared(row, table) for row in rows]
    answers["request"] = ["refused" if check_row(row, table) else row["x"] for row in declared]
    return answers


@pytest.mark.parametrize("kind", ["int32", "int64", "float64", "float32"])
@pytest.mark.parametrize("stored", [pa.int64(), pa.int32(), pa.float64(), pa.decimal128(20, 1)], ids=str)
def test_whole_numbers(kind: str, stored: pa.DataType, tmp_path: Path) -> None:
    if kind.startswith("int") and pa.types.is_decimal(stored):
        pytest.skip("a column of whole numbers takes no decimals of Parquet")
    found = verdicts(tmp_path, table_of(kind), [-999, 5, 999], stored)
    assert found == {each: [None, 5, 999] for each in ("csv", "json", "parquet", "request")}


@pytest.mark.parametrize(("kind", "last"), [("float64", -999.0), ("float32", -999.0), ("int64", -999.0)])
def test_numbers_with_decimals(kind: str, last: float, tmp_path: Path) -> None:
    found = verdicts(tmp_path, table_of(kind), [-999.9, 2.0, last, 0.1], pa.float64())
    expected = [None, "refused" if kind == "int64" else 2.0, None, None]
    assert {name: found[name] for name in ("csv", "json", "request")} == dict.fromkeys(
        ("csv", "json", "request"), expected
    )
    assert [found["parquet"][at] for at in (0, 2, 3)] == [None] * 3, (
        "a float of Parquet that is whole is a whole number"
    )


def test_the_nearest_number_of_a_small_float(tmp_path: Path) -> None:
    table = table_of("float32")
    pq.write_table(pa.table({"id": ["a"], "x": pa.array([0.1], pa.float32())}), tmp_path / "small")
    assert read(tmp_path / "small", table) == [None]


def test_numbers_are_written_as_the_contract_says(tmp_path: Path) -> None:
    table = table_of("float64", CsvForm(delimiter=";", decimal=",", thousands="."), ("-1.000,5",))
    assert table.column("x").missing_numbers == {-1000.5}
    (tmp_path / "csv").write_text("id;x\na;-1000,50\nb;1,5\n")
    assert read(tmp_path / "csv", table) == [None, 1.5]
    assert as_declared({"x": -1000.5}, table) == {"x": None}


def test_words_mean_nothing_else(tmp_path: Path) -> None:
    """Not in a column of texts, nor NaN, nor true."""
    assert table_of("string").column("x").missing_numbers == frozenset()
    nan = table_of("float64", words=("NaN", "1"))
    assert nan.column("x").missing_numbers == {1.0}
    assert not nan.column("x").means_missing(True)
