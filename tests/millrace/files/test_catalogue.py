"""Every drop that the market could send, and every broken one: rows in = typed + kept raw."""

# ruff: noqa: DTZ001

import re
from csv import reader
from datetime import datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import Column, Table
from millrace.errors import DropError
from millrace.files.catalogue import read_drop
from millrace.files.lines import blocks
from millrace.files.parsed import Limits, Parsed
from tests import builders
from tests.fuzz import examples
from tests.millrace.files import conftest

TABLE = Table(
    name="rows",
    columns=(
        Column(name="at", kind="timestamp", required=True),
        Column(name="n", kind="int32"),
        Column(name="x", kind="float64"),
        Column(name="s", kind="string"),
    ),
    keys=(("at",),),
)
HEAD = b"at,n,x,s\n"
GOOD = b"2020-01-01T00:00:00,1,0.5,a\n"
SMALL = Limits(block_bytes=64, line_bytes=48)
parse = partial(conftest.parse, table=TABLE)


def refused(data: bytes, table: Table = TABLE, limits: Limits | None = None) -> str:
    with pytest.raises(DropError) as caught:
        parse(data, table=table, limits=limits)
    return caught.value.reason


def parquet(**columns: pa.Array) -> bytes:
    return builders.parquet(pa.table(columns), write_page_checksum=True, compression="none")


def test_csv_in_any_column_order() -> None:
    parsed = parse(b"\xef\xbb\xbfs , x,at,n\r\n a ,0.5,2020-01-01 00:30:00, 7\r\n\r\n,,2020-01-01 01:00:00,\r\n")
    assert parsed.unparsable == ()
    assert parsed.rows.to_pylist() == [
        {"at": datetime(2020, 1, 1, 0, 30), "n": 7, "x": 0.5, "s": "a", "_line": 2},
        {"at": datetime(2020, 1, 1, 1, 0), "n": None, "x": None, "s": None, "_line": 4},
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"2020-01-01T00:00:00,1,0.5\n", "columns"),
        (b"2020-01-01T00:00:00,1,0.5,a,b\n", "columns"),
        (b"yesterday,1,0.5,a\n", "type"),
        (b"2020-01-01T00:00:00,99999999999,0.5,a\n", "type"),
        (b"2020-01-01T00:00:00,1,0.5,\xff\n", "encoding"),
        (b"2020-01-01T00:00:00,1,0.5,\0\n", "encoding"),
        (b'2020-01-01T00:00:00,1,0.5,"a\n', "quote"),
        (b'2020-01-01T00:00:00,1,0.5,"a"b\n', "quote"),
        (b"2020-01-01T00:00:00+01:00,1,0.5,a\n", "type"),
    ],
)
def test_a_broken_csv_line_costs_one_row(line: bytes, reason: str) -> None:
    parsed = parse(HEAD + GOOD + line + GOOD)
    assert [row.reason for row in parsed.unparsable] == [reason]
    assert parsed.unparsable[0].line == 3
    assert parsed.rows["_line"].to_pylist() == [2, 4]
    if reason != "encoding":
        assert parsed.unparsable[0].raw == line.decode().rstrip("\n")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"at": "2020-01-01T00:00:00", "x": NaN}\n', "json"),
        (b'{"at": "2020-01-01T00:00:00", "x": 1, "x": 2}\n', "json"),
        (b'{"at": "2020-01-01T00:00:00", "y": 1}\n', "unknown_field"),
        (b'{"at": "2020-01-01T00:00:00", "n": true}\n', "type"),
        (b'{"at": "2020-01-01T00:00:00", "n": 1.0}\n', "type"),
        (b'{"at": "2020-01-01T00:00:00", "s": "\\ud800"}\n', "type"),
        (b"[1]\n", "json"),
        (b'{"at": ' + b"[" * 100_000 + b"\n", "json"),
        (b'{"n": ' + b"9" * 5_000 + b"}\n", "json"),
        (b"\xff\n", "encoding"),
        (b'{"at": "2020-01-01T00:0', "json"),
    ],
)
def test_a_broken_json_line_costs_one_row(line: bytes, reason: str) -> None:
    good = b'{"at": "2020-01-01T00:00:00", "n": 1, "x": 1, "s": null}\n'
    parsed = parse(good + b"\n" + line)
    assert [(row.reason, row.line) for row in parsed.unparsable] == [(reason, 3)]
    assert parsed.rows.to_pylist() == [{"at": datetime(2020, 1, 1), "n": 1, "x": 1.0, "s": None, "_line": 1}]


def test_every_bit_flip_in_a_page_is_found() -> None:
    data = parquet(at=pa.array([datetime(2020, 1, 1)] * 500, pa.timestamp("us")), x=pa.array(range(500), pa.float64()))
    for at in range(100, 3_000, 97):
        flipped = bytearray(data)
        flipped[at] ^= 4
        assert refused(bytes(flipped)) == "corrupt"


AT = pa.array([datetime(2020, 1, 1)])
WHOLE = parquet(at=AT, x=pa.array([1.0]))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (WHOLE[: len(WHOLE) // 2], "truncated"),
        (WHOLE[:4], "corrupt"),
        (b"", "empty"),
        (b" \n\n", "empty"),
        (HEAD, "empty"),
        (parquet(at=AT[:0]), "empty"),
        (b"a.csv".ljust(257, b"\0") + b"ustar" + bytes(250), "foreign"),
        (b"<html><body>not found</body></html>", "foreign"),
        (b"at;n;x;s\n1;2;3;4\n", "foreign"),
        ("at,n\n".encode("utf-16"), "encoding"),
        (b"n,x,s\n1,2,3\n", "columns"),
        (b"at,n,x,s,z\n", "columns"),
        (b"at,n,n,s\n", "columns"),
        (parquet(at=AT, x=pa.array(["1.0"])), "column_type"),
        (parquet(**{f"{name}{' ' * (name == 'at')}": pa.nulls(1) for name in TABLE.names}), "columns"),
    ],
)
def test_what_is_no_file_of_the_table_is_refused_whole(data: bytes, reason: str) -> None:
    assert refused(data) == reason


@pytest.mark.parametrize(
    ("head", "told"), [(b"at,n,x,s,n\n", "once: 'n', 'n'"), (b"at,n,x,s,z,z\n", "unknown: 'z', 'z'")]
)
def test_a_name_that_comes_twice_is_told_as_the_file_has_it(head: bytes, told: str) -> None:
    with pytest.raises(DropError, match=told):
        parse(head)


def test_limits_hold() -> None:
    assert refused(HEAD + GOOD * 10, limits=Limits(file_bytes=100)) == "too_large"
    assert refused(HEAD + GOOD * 10, limits=Limits(rows=9)) == "too_large"
    assert refused(HEAD + b"a" * 500, limits=SMALL) == "too_large"
    at = pa.array([datetime(2020, 1, 1)] * 10_000, pa.timestamp("us"))
    bomb = parquet(at=at, s=pa.array(["x" * 1_000]).take(pa.array([0] * 10_000)))
    assert len(bomb) < 200_000
    assert refused(bomb, limits=Limits(decoded_bytes=2**20)) == "too_large"
    assert refused(bomb, limits=Limits(rows=100)) == "too_large"
    assert parse(bomb).rows.num_rows == 10_000


@settings(max_examples=examples(200), deadline=None)
@given(
    lengths=st.lists(st.integers(0, 70), max_size=12),
    block=st.integers(1, 200),
    end=st.sampled_from([b"", b"\n"]),
    most=st.integers(1, 5),
)
def test_a_line_is_too_long_wherever_a_block_ends(
    lengths: list[int], block: int, end: bytes, most: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("lines") / "drop"
    path.write_bytes(data := b"\n".join(b"a" * length for length in lengths) + end)
    try:
        parts = list(blocks(path, Limits(block_bytes=block, line_bytes=60), most_lines=most))
    except DropError:
        assert max(lengths) > 60
    else:
        assert b"".join(parts) == data
        assert all(len(part.splitlines()) <= most for part in parts)
        assert max(lengths, default=0) <= 60


def test_a_text_may_begin_with_many_blank_lines() -> None:
    assert parse(b"\n" * 200_000 + HEAD + GOOD).rows["_line"].to_pylist() == [200_002]
    assert parse(b"\r\n" * 200_000 + b'{"at": "2020-01-01"}\n').rows["_line"].to_pylist() == [200_001]
    assert refused(b"\n" * 200_000 + b'[{"at": 1}]') == "foreign"
    assert refused(b"\n" * 200_000) == "empty"


@pytest.mark.parametrize("kind", [pa.binary_view(), pa.large_binary(), pa.binary(3)], ids=str)
def test_bytes_are_read_from_each_type_that_holds_them(kind: pa.DataType) -> None:
    data = parquet(raw=pa.array([b"\xff\x00a", None, b"abc"], kind))
    table = Table(name="rows", columns=(Column(name="raw", kind="binary"),))
    assert parse(data, table=table).rows["raw"].to_pylist() == [b"\xff\x00a", None, b"abc"]


CELL = st.sampled_from(
    [b"", b"1", b" 2 ", b"-0.5", b"nan", b"1e400", b"a", b"\xff", b"\0", b"\xc3\xa9", b"2020-01-01T00:00:00", b"\r"]
)
QUOTED = st.sampled_from([b'"', b'""', b'"a"', b'"a,b"', b'"a\nb"', b'"a""b"', b'"a'])


@settings(max_examples=examples(300), deadline=None)
@given(
    rows=st.lists(st.lists(st.one_of(CELL, QUOTED), min_size=1, max_size=5)), block=st.sampled_from([32, 64, 10_000])
)
@example(rows=[[b'"'], [b'"', b"", b"", b""]], block=32)
def test_no_line_of_a_csv_is_lost(rows: list[list[bytes]], block: int) -> None:
    body = b"".join(b",".join(cells) + b"\n" for cells in rows)
    parsed = parse(HEAD + GOOD + body, limits=Limits(block_bytes=block, line_bytes=10_000))
    starts = {*parsed.rows["_line"].to_pylist(), *(row.line for row in parsed.unparsable)}
    assert len(starts) == parsed.rows.num_rows + len(parsed.unparsable)
    _every_line_is_covered(HEAD + GOOD + body, starts, parsed)
    whole = parse(HEAD + GOOD + body)
    assert (str(parsed.rows.to_pylist()), parsed.unparsable) == (str(whole.rows.to_pylist()), whole.unparsable)


def _every_line_is_covered(data: bytes, starts: set[int], parsed: Parsed) -> None:
    """A line is the start of a row, or blank, or inside a quoted cell of an accepted row."""
    lines = data.split(b"\n")
    inside = sum(cell.count("\n") for cell in parsed.rows["s"].to_pylist() if cell)
    # A cell of white space alone is an empty one where its column is no text, and may span lines too.
    for row in parsed.rows.to_pylist():
        if None in (row["at"], row["n"], row["x"]):
            cells = next(reader(line.decode("latin-1") + "\n" for line in lines[row["_line"] - 1 :]))
            inside += sum(cell.count("\n") for cell in cells[:3] if not cell.strip())
    uncovered = [n for n, line in enumerate(lines[:-1], 1) if n > 1 and line.strip() and n not in starts]
    assert len(uncovered) <= inside + sum(row.raw.count("\n") for row in parsed.unparsable)


def csv_table(names: str, *, encoding: str = "utf-8", has_header: bool = True) -> Table:
    """All texts."""
    columns = tuple(names.split(","))
    form = CsvForm(encoding=encoding, columns=() if has_header else columns)
    return Table(name="rows", columns=tuple(Column(name=name, kind="string") for name in columns), csv=form)


@pytest.mark.parametrize("has_header", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x1f\x8b\x08\x00,\n", "truncated"),
        (b"PK\x03\x04\x14,\n", "truncated"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1,\n", "foreign"),
        (b"(\xb5/\xfd\x01,a\n", "foreign"),
        (b"%PDF-1.7\n%\xe2\xe3\n", "foreign"),
        (b"ORC\x0a\x03,\x00", "foreign"),
        (b"Obj\x01\x04\x14,\n", "foreign"),
        (b"\x89PNG\r\n\x1a\n,", "foreign"),
        (b"PAR1\x15\x04,\n", "truncated"),
        ("\ufeffe,y\na,1\n".encode("utf-16-le"), "encoding"),
        ("\ufeffe,y\na,1\n".encode("utf-16-be"), "encoding"),
        (b"[1,2]\n", "foreign"),
        (b'[{"e": 1, "y": 2}]', "foreign"),
        (b"binary\0,\x01\0\n", "foreign"),
    ],
)
def test_another_format_stays_one(data: bytes, reason: str, encoding: str, has_header: bool) -> None:
    assert refused(data, csv_table("e,y", encoding=encoding, has_header=has_header)) == reason


@pytest.mark.parametrize("first", ["ORCID", "[kWh] e", "{x}", "%PDF"])
def test_a_header_of_other_names_is_told_as_one(first: str) -> None:
    """Whatever another format begins with: its names are what is wrong."""
    with pytest.raises(DropError, match=f"columns: .*{re.escape(first)}"):
        parse(f"{first},z\na,1\n".encode(), table=csv_table(f"{first},y"))


def test_a_wide_table_comes_in_parts_of_few_cells(tmp_path: Path) -> None:
    table = Table(name="rows", columns=tuple(Column(name=f"c{at}", kind="float64") for at in range(500)))
    (tmp_path / "lines").write_bytes(b"{}\n" * 5_000)
    pq.write_table(pa.table({f"c{at}": pa.nulls(5_000) for at in range(500)}), tmp_path / "parquet")
    for name in ("lines", "parquet"):
        sizes = [part.rows.num_rows for part in read_drop(tmp_path / name, table)]
        assert (max(sizes), sum(sizes)) == (2**21 // 500, 5_000)


def test_a_parquet_file_of_tiny_row_groups_is_refused() -> None:
    at = pa.array([datetime(2020, 1, 1)] * 12, pa.timestamp("us"))
    data = builders.parquet(pa.table({"at": at}), row_group_size=1)
    assert refused(data, limits=Limits(row_groups=11)) == "too_large"
    assert parse(data, limits=Limits(row_groups=12)).rows.num_rows == 12
