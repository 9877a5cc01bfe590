"""Records of many lines, and names with spaces around them."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import LINE, Column, Table
from millrace.files.parsed import Limits
from millrace.files.sniff import read_drop
from tests.millrace.files.conftest import Read

TABLE = Table(
    name="rows",
    columns=(Column(name="id", kind="string", required=True), Column(name="text", kind="string", required=True)),
)


def written(rows: list[list[str]]) -> bytes:
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows([["id", "text"], *rows])
    return sink.getvalue().encode()


@pytest.mark.parametrize(("lines", "block_bytes"), [(2, 64), (100, 64), (101, 64), (101, 2**22), (5_000, 2**22)])
def test_a_quoted_cell_may_have_any_number_of_lines(read: Read, lines: int, block_bytes: int) -> None:
    """None of its lines is a row, though every other one has as many cells as one."""
    letter = "\n".join(f"line {number}" + ", as it was said" * (number % 2) for number in range(lines))
    rows = [["a", letter], ["b", "short"]]
    parsed = read(written(rows), TABLE, Limits(block_bytes=block_bytes))
    assert parsed.unparsable == ()
    assert [[row["id"], row["text"]] for row in parsed.rows.to_pylist()] == rows


@pytest.mark.parametrize(
    "data", [written([["a", "x, y\n" * 101], ["b", "z"]]), b'id,text\na,"x\n' + b"c,y\n" * 101 + b'd,e"\nb,z\n']
)
def test_what_may_be_rows_between_two_stray_quotes_is_quarantined_whole(read: Read, data: bytes) -> None:
    """As a letter it is one row, as a mistake 102 of them: nothing is invented, and nothing is swallowed unsaid."""
    parsed = read(data, TABLE)
    (refused,) = parsed.unparsable
    assert (refused.line, refused.violations[0].reason) == (2, "quote")
    assert "lines that do" in refused.violations[0].got
    assert refused.raw.count("\n") >= 100
    assert parsed.rows["id"].to_pylist() == ["b"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b'a,"caf\xe9\nz,ok\nbye"\n', "encoding"),
        (b'a,"x\nz,ok\nbye",\n', "columns"),
        (b'a,5,"x\nz,ok\nbye"\n', "columns"),
        (b'a,"x\0\nz,ok\nbye"\n', "encoding"),
    ],
)
def test_what_stands_in_a_quoted_cell_is_never_a_row(read: Read, record: bytes, reason: str) -> None:
    """Whatever else is wrong with its record, which is quarantined whole."""
    parsed = read(b"id,text\n" + record + b"b,z\n", TABLE)
    (refused,) = parsed.unparsable
    assert (refused.line, [one.reason for one in refused.violations]) == (2, [reason])
    assert refused.raw.count("\n") == 2
    assert parsed.rows["id"].to_pylist() == ["b"]


def test_quotes_in_the_midst_of_cells_are_named(read: Read) -> None:
    """No carriage return is there; the lines behind the first are read."""
    parsed = read(b'id,text\na,5" pipe\nb,6" pipe\n', TABLE)
    assert parsed.unparsable[0].violations[0].got == "a quote in the midst of a cell, as in a later line"
    assert parsed.rows.num_rows + len(parsed.unparsable) == 2


def test_a_carriage_return_within_a_line_is_named(read: Read) -> None:
    (refused,) = read(b'id,text\na,"x"\ry\nb,z\n', TABLE).unparsable
    assert refused.violations[0].got == "a carriage return within a line"


def test_a_quote_that_never_closes_costs_its_line(read: Read) -> None:
    good = b"".join(b"%d,x\n" % number for number in range(500))
    limits = Limits(line_bytes=200)
    parsed = read(b'id,text\na,"open\n' + good, TABLE, limits)
    assert [(row.line, row.violations[0].reason) for row in parsed.unparsable] == [(2, "quote")]
    assert parsed.rows.num_rows == 500


def test_spaces_around_a_name_count_nowhere_but_in_other_formats(read: Read) -> None:
    seen = replace(TABLE.column("text"), physical_name="Seen At ")
    table = Table(name="rows", columns=(TABLE.column("id"), seen))
    stored = io.BytesIO()
    pq.write_table(pa.table({"id": ["a"], "Seen At ": ["x"]}), stored)
    files = (b"id,Seen At \na,x\n", b"id,Seen At\na,x\n", b'{"id":"a","Seen At ":"x"}\n', stored.getvalue())
    assert [read(data, table).rows["text"].to_pylist() for data in files] == [["x"]] * 4


@pytest.mark.parametrize("names", [b"id,text\n", b"id, text\r\n"])
def test_a_line_of_names_where_none_is_expected_is_no_row(read: Read, names: bytes) -> None:
    table = replace(TABLE, csv=CsvForm(columns=("id", "text")))
    parsed = read(names + b"a,x\nid,text\n", table)
    assert [(row.line, row.violations[0].reason) for row in parsed.unparsable] == [(1, "columns")]
    assert [(row["_line"], row["id"]) for row in parsed.rows.to_pylist()] == [(2, "a"), (3, "id")]


@pytest.mark.parametrize("before", [b"", b"\n", b" \r\n\n", b"\xef\xbb\xbf\n", b"\t\n", b" \t\r\n", b"\x0c\n"])
@pytest.mark.parametrize("block_bytes", [2, 64, 2**22])
def test_a_line_of_names_is_no_row_of_a_file_without_them_wherever_it_begins(
    before: bytes, block_bytes: int, tmp_path: Path
) -> None:
    columns = (Column(name="a", kind="string"), Column(name="b", kind="string"))
    table = Table(name="rows", columns=columns, csv=CsvForm(columns=("a", "b")))
    (path := tmp_path / "rows.csv").write_bytes(before + b"a,b\r\n1,2\n")
    parts = list(read_drop(path, table, Limits(block_bytes=block_bytes)))
    rows = [row for part in parts for row in part.rows.to_pylist()]
    lines = before.count(b"\n")
    assert rows == [{"a": "1", "b": "2", LINE: lines + 2}]
    assert [(row.line, row.violations[0].got, row.raw) for part in parts for row in part.unparsable] == [
        (lines + 1, "a line of names", "a,b")
    ]


def test_many_blank_lines_take_no_longer_than_their_bytes(tmp_path: Path) -> None:
    """A million before the rows: to copy the rest of the block at each would take hours."""
    columns = (Column(name="a", kind="string"), Column(name="b", kind="string"))
    table = Table(name="rows", columns=columns, csv=CsvForm(columns=("a", "b")))
    (path := tmp_path / "rows.csv").write_bytes(b"\n" * 1_000_000 + b"a,b\n1,2")
    parts = list(read_drop(path, table))
    assert [row[LINE] for part in parts for row in part.rows.to_pylist()] == [1_000_002]
    assert [row.line for part in parts for row in part.unparsable] == [1_000_001]


def test_names_in_a_later_block_are_a_row(tmp_path: Path) -> None:
    """Though the rest of the first block is as long as the blank lines before its names."""
    columns = (Column(name="a", kind="string"), Column(name="b", kind="string"))
    table = Table(name="rows", columns=columns, csv=CsvForm(columns=("a", "b")))
    (path := tmp_path / "rows.csv").write_bytes(b"\n\n\n\na,b\n1,2\na,b\n")
    parts = list(read_drop(path, table, Limits(block_bytes=12)))
    assert [row[LINE] for part in parts for row in part.rows.to_pylist()] == [6, 7]


def test_a_record_that_begins_as_a_line_of_names_is_one(tmp_path: Path) -> None:
    columns = (Column(name="a", kind="string"), Column(name="b", kind="string"))
    table = Table(name="rows", columns=columns, csv=CsvForm(columns=("a", "b")))
    (path := tmp_path / "rows.csv").write_bytes(b'a,"b\nz"\nc,d\n')
    rows = [row for part in read_drop(path, table) for row in part.rows.to_pylist()]
    assert [(row["b"], row[LINE]) for row in rows] == [("b\nz", 1), ("d", 3)]


def test_rows_of_empty_cells_before_a_line_of_names_stay_rows(tmp_path: Path) -> None:
    columns = (Column(name="a", kind="string"), Column(name="b", kind="string"))
    table = Table(name="rows", columns=columns, csv=CsvForm(delimiter="\t", columns=("a", "b")))
    (path := tmp_path / "rows.tsv").write_bytes(b"x\ty\n\t\na\tb\n")
    lines = [row[LINE] for part in read_drop(path, table) for row in part.rows.to_pylist()]
    assert lines == [1, 2, 3]
