"""Records of many lines, and names with spaces around them."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import Column, Table
from millrace.files.parsed import Limits
from tests.millrace.files.conftest import Read

TABLE = Table(
    name="rows",
    columns=(Column(name="id", kind="string", required=True), Column(name="text", kind="string", required=True)),
)


def written(rows: list[list[str]]) -> bytes:
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows([["id", "text"], *rows])
    return sink.getvalue().encode()


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


def test_a_carriage_return_within_a_line_is_named(read: Read) -> None:
    (refused,) = read(b'id,text\na,"x"\ry\nb,z\n', TABLE).unparsable
    assert refused.violations[0].got == "a carriage return within a line"


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
