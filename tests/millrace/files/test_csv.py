"""Records of many lines, and names with spaces around them."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.contract.csv_form import CsvForm
from millrace.contract.kinds import Kind, to_float
from millrace.contract.row import as_declared
from millrace.contract.rules.range import Range
from millrace.contract.schema import Column, Table
from millrace.contract.time_format import TimeFormat
from millrace.contract.validate import validate
from millrace.files.cast import UNITS, _misfits, _outside
from millrace.files.parsed import Limits
from tests.fuzz import examples
from tests.millrace.files.conftest import WRITERS, Read, as_parquet, parse, taken

TABLE = Table(
    name="rows",
    columns=(Column(name="id", kind="string", required=True), Column(name="text", kind="string", required=True)),
)


@pytest.mark.parametrize(
    ("record", "reason", "lines"),
    [
        (b'a,"' + b"x, y\n" * 101 + b'"\n', "quote", 102),
        (b'a,"x\n' + b"c,y\n" * 101 + b'd,e"\n', "quote", 103),
        (b'a,"caf\xe9\nz,ok\nbye"\n', "encoding", 3),
        (b'a,"x\nz,ok\nbye",\n', "columns", 3),
        (b'a,5,"x\nz,ok\nbye"\n', "columns", 3),
        (b'a,"x\0\nz,ok\nbye"\n', "encoding", 3),
        (b'a,"x"\ry\n', "quote", 1),
    ],
)
def test_what_stands_in_a_quoted_cell_is_never_a_row(read: Read, record: bytes, reason: str, lines: int) -> None:
    """Whatever else is wrong with its record, which is quarantined whole. A hundred lines between two stray quotes are
    one cell or a mistake: nothing is invented, and nothing is swallowed unsaid."""
    parsed = read(b"id,text\n" + record + b"b,z\n", TABLE)
    (refused,) = parsed.unparsable
    assert (refused.line, [one.reason for one in refused.violations]) == (2, [reason])
    assert refused.raw.count("\n") == lines - 1
    assert parsed.rows["id"].to_pylist() == ["b"]


def test_a_quote_that_never_closes_costs_its_line(read: Read) -> None:
    good = b"".join(b"%d,x\n" % number for number in range(500))
    limits = Limits(line_bytes=200)
    parsed = read(b'id,text\na,"open\n' + good, TABLE, limits)
    assert [(row.line, row.violations[0].reason) for row in parsed.unparsable] == [(2, "quote")]
    assert parsed.rows.num_rows == 500


@pytest.mark.parametrize("names", [b"id,text\n", b"id, text\r\n"])
def test_a_line_of_names_where_none_is_expected_is_no_row(read: Read, names: bytes) -> None:
    table = replace(TABLE, csv=CsvForm(columns=("id", "text")))
    parsed = read(names + b"a,x\nid,text\n", table)
    assert [(row.line, row.violations[0].reason) for row in parsed.unparsable] == [(1, "columns")]
    assert [(row["_line"], row["id"]) for row in parsed.rows.to_pylist()] == [(2, "a"), (3, "id")]


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize(
    "text",
    [
        "3.4028235677973366e38",
        "1.000000059604644775390626",
        "16777217",
        "9007199254740993",
        "1152921504606846976",
        "-5",
    ],
)
def test_a_number_is_the_same_in_every_format(text: str, kind: Kind) -> None:
    table = Table(name="rows", columns=(Column(name="x", kind=kind),))
    value = float(text) if "." in text else int(text)
    drops = [f"x\n{text}\n".encode(), f'{{"x": {text}}}\n'.encode(), as_parquet([{"x": value}])]
    found = [parse(drop, table).rows["x"].to_pylist() for drop in drops]
    assert found == [[to_float(value, kind)]] * 3


WHOLE = ["int8", "uint8", "int32", "uint32", "int64", "uint64"]


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_what_cannot_be_cast_is_found_by_comparing_as_by_searching(data: st.DataObject) -> None:
    """For all pairs of types that `_outside` knows."""
    kind = data.draw(st.sampled_from([*WHOLE, "float32", "float64", "s", "ms", "us", "ns"]))
    if kind in UNITS:
        wanted = pa.timestamp(data.draw(st.sampled_from(list(UNITS))))
        came, cell = pa.timestamp(kind), st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-(10**6), 10**6)
    else:
        wanted = getattr(pa, data.draw(st.sampled_from(["int32", "int64"])))()
        came = getattr(pa, kind)()
        if kind.startswith("float"):
            width = int(kind[5:])
            edges = [2.0**31, 2.0**31 - 1, 2.0**63, -(2.0**63), 2.0**53, -0.0, 0.5, math.nan, math.inf]
            cell = st.floats(width=width) | st.sampled_from([float(np.dtype(kind).type(one)) for one in edges])
        else:
            limits = np.iinfo(kind)
            cell = st.integers(int(limits.min), int(limits.max))
    cells = pa.array(data.draw(st.lists(st.none() | cell, max_size=12)), came)
    outside = _outside(cells, wanted)
    assert outside is not None
    found = [at for at, is_outside in enumerate(outside.to_pylist()) if is_outside]
    try:
        cells.cast(wanted)
        searched = []
    except pa.ArrowInvalid:
        searched = _misfits(cells, wanted, 0)
    assert found == searched


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


def test_a_text_that_is_mapped_is_another_one_on_each_road() -> None:
    table = table_of("string", words=("n/a",), mapped=(("Y", "yes"), ("n", "no")))
    cells, meant = ["Y", "n", "yes", "n/a", "y"], ["yes", "no", "yes", None, "y"]
    assert verdicts(table, cells, pa.array(cells)) == dict.fromkeys(EVERY, meant)


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


TABLE_KEYS = Table(
    name="rows",
    columns=(
        Column(name="shop", kind="string", required=True, physical_name="Shop No"),
        Column(name="day", kind="date", required=True),
        Column(name="n", kind="int64", rules=(Range(maximum=5),)),
    ),
    keys=(("shop", "day"), ("n",)),
)
ROWS = [("a", "2024-05-06", 9), ("b", "2024-05-06", "dear"), ("c", "some day", 3), (None, "2024-05-06", "dear")]
KEYS = {1: "a, 2024-05-06", 2: "b, 2024-05-06", 3: "", 4: ""}


@pytest.mark.parametrize("form", WRITERS)
def test_a_row_with_a_cell_of_a_wrong_type_has_its_key(form: str) -> None:
    rows: list[dict[str, Any]] = [dict(zip(("Shop No", "day", "n"), row, strict=True)) for row in ROWS]
    for row in rows if form == "parquet" else ():
        # Of a column of numbers only one that is no whole number can be of a wrong type.
        row["n"] = 2.5 if row["n"] == "dear" else row["n"]
    parsed = parse(WRITERS[form](rows), TABLE_KEYS)
    refused = (*parsed.unparsable, *validate(parsed.rows, TABLE_KEYS).refused)
    assert {(row.line or 0) - (form == "csv"): row.key for row in refused} == KEYS
