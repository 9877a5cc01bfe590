"""A number or a time that means that nothing is known means it in every format, and in a call for predictions."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.contract.csv_form import CsvForm
from millrace.contract.row import as_declared, check_row
from millrace.contract.schema import Column, Table
from millrace.contract.time_format import TimeFormat
from millrace.files.sniff import read_drop

WORDS = ("NA", "-999", "-999.9", "0.1")


def table_of(kind: Any, form: CsvForm | None = None, words: tuple[str, ...] = WORDS) -> Table:
    columns = (Column(name="id", kind="string"), Column(name="x", kind=kind, missing_words=words))
    return Table(name="rows", columns=columns, csv=form or CsvForm()).with_missing_values()


def read(path: Path, table: Table) -> list[Any]:
    """Of each row its cell, or `refused`."""
    found: dict[str, Any] = {}
    for part in read_drop(path, table):
        found |= {row["id"]: row["x"] for row in part.rows.to_pylist()}
        found |= {
            json.loads(row.raw)["id"] if row.raw.startswith("{") else row.raw[0]: "refused" for row in part.unparsable
        }
    return [found[name] for name in sorted(found)]


def as_stored(cells: list[Any], stored: pa.DataType) -> pa.Array:
    if pa.types.is_date(stored):
        return pa.array([date.fromisoformat(cell) for cell in cells], stored)
    if pa.types.is_timestamp(stored):
        return pa.array([datetime.fromisoformat(cell) for cell in cells], stored)
    return pa.array(cells).cast(stored)


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
    pq.write_table(pa.table({"id": ids, "x": as_stored(cells, stored)}), tmp_path / "parquet")
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


def test_numbers_are_written_as_the_contract_says(tmp_path: Path) -> None:
    table = table_of("float64", CsvForm(delimiter=";", decimal=",", thousands="."), ("-1.000,5",))
    assert table.column("x").missing_numbers == {-1000.5}
    (tmp_path / "csv").write_text("id;x\na;-1000,50\nb;1,5\n")
    assert read(tmp_path / "csv", table) == [None, 1.5]
    assert as_declared({"x": -1000.5}, table) == {"x": None}


TIMES = ("?", "1900-01-01", "9999-12-31T00:00:00")


@pytest.mark.parametrize("stored", [pa.timestamp("us"), pa.timestamp("ms"), pa.string()], ids=str)
def test_times(stored: pa.DataType, tmp_path: Path) -> None:
    """A text in another form is the same time."""
    cells = ["1900-01-01T00:00", "1900-01-01T00:01:00", "9999-12-31 00:00:00.0"]
    table = table_of("timestamp", words=TIMES)
    found = verdicts(tmp_path, table, cells, stored)
    kept = [None, datetime(1900, 1, 1, 0, 1), None]  # noqa: DTZ001
    assert found == {"csv": kept, "json": kept, "parquet": kept, "request": [None, cells[1], None]}


def test_times_are_written_as_the_contract_says(tmp_path: Path) -> None:
    form = TimeFormat("dd.MM.yyyy HH:mm XXX")
    column = Column(name="x", kind="timestamp_utc", time_format=form, missing_words=("01.01.1900 00:00 +00:00", "n/a"))
    table = Table(name="rows", columns=(Column(name="id", kind="string"), column)).with_missing_values()
    assert table.column("x").missing_times == {datetime(1900, 1, 1, tzinfo=UTC)}
    cells = ["01.01.1900 01:00 +01:00", "06.05.2024 00:00 +00:00"]
    (tmp_path / "csv").write_text(
        "id,x\n" + "".join(f"{name},{cell}\n" for name, cell in zip("ab", cells, strict=True))
    )
    assert read(tmp_path / "csv", table) == [None, datetime(2024, 5, 6, tzinfo=UTC)]
    assert [as_declared({"x": cell}, table)["x"] for cell in cells] == [None, "2024-05-06T00:00:00+00:00"]
    assert as_declared({"x": "1900-01-01T00:00:00Z"}, table) == {"x": None}


def test_what_is_missing_is_found_before_it_is_rounded(tmp_path: Path) -> None:
    """Of a column of 32 bits -999.00001 is the number nearest to -999, and 1e-50 is nearest to 0."""
    table = table_of("float32", words=("-999", "0"))
    cells = [-999.00001, 1e-50, -999.0, 2.5]
    files = {
        "csv": "id,x\n" + "".join(f"{name},{cell!r}\n" for name, cell in zip("abcd", cells, strict=True)),
        "jsonl": "".join(json.dumps({"id": name, "x": cell}) + "\n" for name, cell in zip("abcd", cells, strict=True)),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    pq.write_table(pa.table({"id": list("abcd"), "x": pa.array(cells, pa.float64())}), tmp_path / "parquet")
    for name in (*files, "parquet"):
        assert read(tmp_path / name, table) == [-999.0, 0.0, None, 2.5], name
