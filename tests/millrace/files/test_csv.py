"""Records of many lines, and names with spaces around them."""

from __future__ import annotations

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
