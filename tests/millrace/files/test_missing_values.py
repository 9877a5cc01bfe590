"""A number or a time that means that nothing is known means it in every format, and in a call for predictions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from millrace.contract.csv_form import CsvForm
from millrace.contract.row import as_declared
from millrace.contract.schema import Column, Table
from millrace.contract.time_format import TimeFormat
from tests.millrace.files.conftest import parse, taken

EVERY = ("csv", "jsonl", "parquet", "request")
FLOATS = ["float64", "float32"]
TEXTS = EVERY[:2] + EVERY[3:]
WORDS = ("NA", "-999", "-999.9", "0.1")


def table_of(kind: Any, form: CsvForm | None = None, words: tuple[str, ...] = WORDS, **more: Any) -> Table:
    columns = (Column(name="id", kind="int64"), Column(name="x", kind=kind, missing_words=words, **more))
    return Table(name="rows", columns=columns, csv=form or CsvForm()).with_missing_values()


def verdicts(table: Table, cells: list[Any], stored: pa.Array) -> dict[str, list[Any]]:
    """What becomes of the cells of a column in each format, and in requests; a text of a refused one."""
    rows = [{"id": at, "x": cell} for at, cell in enumerate(cells)]
    none = {"x": "refused"}
    return {
        form: [found.get(at, none)["x"] for at in range(len(cells))]
        for form, found in taken(rows, table, x=stored).items()
    }


@pytest.mark.parametrize("kind", ["int32", "int64", *FLOATS])
@pytest.mark.parametrize("stored", [pa.int64(), pa.int32(), pa.float64(), pa.decimal128(20, 1)], ids=str)
def test_whole_numbers(kind: str, stored: pa.DataType) -> None:
    if kind.startswith("int") and pa.types.is_decimal(stored):
        pytest.skip("a column of whole numbers takes no decimals of Parquet")
    cells = [-999, 5, 999]
    assert verdicts(table_of(kind), cells, pa.array(cells).cast(stored)) == {form: [None, 5, 999] for form in EVERY}


@pytest.mark.parametrize("kind", [*FLOATS, "int64"])
def test_numbers_with_decimals(kind: str) -> None:
    cells = [-999.9, 2.0, -999.0, 0.1]
    found = verdicts(table_of(kind), cells, pa.array(cells))
    expected = [None, "refused" if kind == "int64" else 2.0, None, None]
    # A float of Parquet that is whole is a whole number.
    assert found == dict.fromkeys(TEXTS, expected) | {"parquet": [None, 2, None, None]}


def test_a_whole_number_that_no_float_holds_is_missing_in_no_column_of_floats() -> None:
    """2**53 + 1 would be 2**53."""
    table, cells = table_of("int64", words=(str(2**53 + 1),)), [2**53]
    assert verdicts(table, cells, pa.array(cells, pa.float64())) == dict.fromkeys(EVERY, cells)


def test_what_is_missing_is_found_before_it_is_rounded() -> None:
    """Of a column of 32 bits -999.00001 is the number nearest to -999, and 1e-50 is nearest to 0."""
    cells = [-999.00001, 1e-50, -999.0, 2.5]
    found = verdicts(table_of("float32", words=("-999", "0")), cells, pa.array(cells))
    assert found == {form: [-999.0, 0.0, None, 2.5] for form in EVERY}


def test_numbers_are_written_as_the_contract_says() -> None:
    table = table_of("float64", CsvForm(delimiter=";", decimal=",", thousands="."), ("-1.000,5",))
    assert table.column("x").missing_numbers == {-1000.5}
    assert parse(b"id;x\n1;-1000,50\n2;1,5\n", table).rows["x"].to_pylist() == [None, 1.5]
    assert as_declared({"x": -1000.5}, table) == {"x": None}


@pytest.mark.parametrize("stored", [pa.timestamp("us"), pa.timestamp("ms"), pa.string()], ids=str)
def test_times(stored: pa.DataType) -> None:
    """A text in another form is the same time."""
    cells = ["1900-01-01T00:00", "1900-01-01T00:01:00", "9999-12-31 00:00:00.0"]
    times = cells if stored == pa.string() else [datetime.fromisoformat(cell) for cell in cells]
    table = table_of("timestamp", words=("?", "1900-01-01", "9999-12-31T00:00:00"))
    kept = [None, datetime(1900, 1, 1, 0, 1), None]  # noqa: DTZ001
    assert verdicts(table, cells, pa.array(times, stored)) == dict.fromkeys(EVERY, kept)


def test_times_are_written_as_the_contract_says() -> None:
    form, words = TimeFormat("dd.MM.yyyy HH:mm XXX"), ("01.01.1900 00:00 +00:00", "n/a")
    table = table_of("timestamp_utc", words=words, time_format=form)
    assert table.column("x").missing_times == {datetime(1900, 1, 1, tzinfo=UTC)}
    cells = ["01.01.1900 01:00 +01:00", "06.05.2024 00:00 +00:00"]
    parsed = parse("id,x\n1,{}\n2,{}\n".format(*cells).encode(), table)
    assert parsed.rows["x"].to_pylist() == [None, datetime(2024, 5, 6, tzinfo=UTC)]
    assert [as_declared({"x": cell}, table)["x"] for cell in cells] == [None, "2024-05-06T00:00:00+00:00"]
    assert as_declared({"x": "1900-01-01T00:00:00Z"}, table) == {"x": None}
