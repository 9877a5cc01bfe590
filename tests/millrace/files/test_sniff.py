"""Every drop that the market could send, and every broken one: rows in = typed + kept raw."""

# ruff: noqa: DTZ001

import json
from csv import reader
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import Column, Table
from millrace.errors import DropError
from millrace.files import csv
from millrace.files.lines import blocks
from millrace.files.parsed import Limits, Parsed
from millrace.files.sniff import read_drop
from tests.fuzz import examples

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


def parse(data: bytes, tmp_path: Path, limits: Limits | None = None) -> Parsed:
    path = tmp_path / "drop"
    path.write_bytes(data)
    parts = list(read_drop(path, TABLE, limits))
    return Parsed(
        rows=pa.concat_tables([part.rows for part in parts]),
        unparsable=tuple(row for part in parts for row in part.unparsable),
    )


def refused(data: bytes, tmp_path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(DropError) as caught:
        parse(data, tmp_path, limits)
    return caught.value.reason


def parquet(tmp_path: Path, **columns: pa.Array) -> bytes:
    pq.write_table(pa.table(columns), tmp_path / "x.parquet", write_page_checksum=True, compression="none")
    return (tmp_path / "x.parquet").read_bytes()


def test_csv_in_any_column_order(tmp_path: Path) -> None:
    parsed = parse(
        b"\xef\xbb\xbfs , x,at,n\r\n a ,0.5,2020-01-01 00:30:00, 7\r\n\r\n,,2020-01-01 01:00:00,\r\n", tmp_path
    )
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
        (b"2020-01-01T00:00:00,1.5,0.5,a\n", "type"),
        (b"2020-01-01T00:00:00,99999999999,0.5,a\n", "type"),
        (b"2020-01-01T00:00:00,1,half,a\n", "type"),
        (b"2020-01-01T00:00:00,1,0.5,\xff\n", "encoding"),
        (b"2020-01-01T00:00:00,1,0.5,\0\n", "encoding"),
        (b'2020-01-01T00:00:00,1,0.5,"a\n', "quote"),
        (b'2020-01-01T00:00:00,1,0.5,"a"b\n', "quote"),
        (b"2020-01-01T00:00:00+01:00,1,0.5,a\n", "type"),
    ],
)
def test_a_broken_csv_line_costs_one_row(line: bytes, reason: str, tmp_path: Path) -> None:
    parsed = parse(HEAD + GOOD + line + GOOD, tmp_path)
    assert [row.reason for row in parsed.unparsable] == [reason]
    assert parsed.unparsable[0].line == 3
    assert parsed.rows["_line"].to_pylist() == [2, 4]
    if reason != "encoding":
        assert parsed.unparsable[0].raw == line.decode().rstrip("\n")


def test_a_record_may_cross_a_block(tmp_path: Path) -> None:
    line = b'2020-01-01T00:00:00,1,0.5,"a\nb"\n'
    parsed = parse(HEAD + line * 20, tmp_path, SMALL)
    assert (parsed.rows.num_rows, parsed.unparsable) == (20, ())
    assert parsed.rows["_line"].to_pylist() == list(range(2, 42, 2))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"at": "2020-01-01T00:00:00", "x": NaN}\n', "json"),
        (b'{"at": "2020-01-01T00:00:00", "x": 1, "x": 2}\n', "json"),
        (b'{"at": "2020-01-01T00:00:00", "y": 1}\n', "unknown_field"),
        (b'{"at": "2020-01-01T00:00:00", "n": true}\n', "type"),
        (b'{"at": "2020-01-01T00:00:00", "n": 1.0}\n', "type"),
        (b'{"at": "2020-01-01T00:00:00", "x": "1"}\n', "type"),
        (b'{"at": 5}\n', "type"),
        (b'{"at": "2020-01-01T00:00:00", "s": "\\ud800"}\n', "type"),
        (b"[1]\n", "json"),
        (b'{"at": ' + b"[" * 100_000 + b"\n", "json"),
        (b'{"n": ' + b"9" * 5_000 + b"}\n", "json"),
        (b"\xff\n", "encoding"),
        (b'{"at": "2020-01-01T00:0', "json"),
    ],
)
def test_a_broken_json_line_costs_one_row(line: bytes, reason: str, tmp_path: Path) -> None:
    good = b'{"at": "2020-01-01T00:00:00", "n": 1, "x": 1, "s": null}\n'
    parsed = parse(good + b"\n" + line, tmp_path)
    assert [(row.reason, row.line) for row in parsed.unparsable] == [(reason, 3)]
    assert parsed.rows.to_pylist() == [{"at": datetime(2020, 1, 1), "n": 1, "x": 1.0, "s": None, "_line": 1}]


def test_parquet_types_are_cast_when_nothing_is_lost(tmp_path: Path) -> None:
    data = parquet(
        tmp_path,
        n=pa.array([1, 2**40, 3], pa.int64()),
        at=pa.array([datetime(2020, 1, 1)] * 3, pa.timestamp("ms")),
        x=pa.array([1, 2, 3], pa.int8()),
    )
    parsed = parse(data, tmp_path)
    assert parsed.rows.to_pylist()[1] == {"at": datetime(2020, 1, 1), "n": 3, "x": 3.0, "s": None, "_line": 3}
    assert [(row.line, row.reason) for row in parsed.unparsable] == [(2, "type")]
    assert json.loads(parsed.unparsable[0].raw)["n"] == 2**40


def test_a_parquet_name_with_spaces_around_it_is_refused_whole(tmp_path: Path) -> None:
    name, *others = TABLE.names
    columns = {f"{name} ": pa.nulls(1), **{other: pa.nulls(1) for other in others}}
    assert refused(parquet(tmp_path, **columns), tmp_path) == "columns"


def test_every_bit_flip_in_a_page_is_found(tmp_path: Path) -> None:
    data = parquet(
        tmp_path, at=pa.array([datetime(2020, 1, 1)] * 500, pa.timestamp("us")), x=pa.array(range(500), pa.float64())
    )
    for at in range(100, 3_000, 97):
        flipped = bytearray(data)
        flipped[at] ^= 4
        assert refused(bytes(flipped), tmp_path) == "corrupt"


def test_truncated_and_foreign_files_are_refused_whole(tmp_path: Path) -> None:
    data = parquet(tmp_path, at=pa.array([datetime(2020, 1, 1)]), x=pa.array([1.0]))
    assert refused(data[: len(data) // 2], tmp_path) == "truncated"
    assert refused(data[:4], tmp_path) in ("truncated", "corrupt")
    assert refused(b"", tmp_path) == "empty"
    assert refused(b" \n\n", tmp_path) == "empty"
    assert refused(HEAD, tmp_path) == "empty"
    assert refused(parquet(tmp_path, at=pa.array([], pa.timestamp("us"))), tmp_path) == "empty"
    assert refused(b"a.csv".ljust(257, b"\0") + b"ustar" + bytes(250), tmp_path) == "foreign"
    assert refused(b"<html><body>not found</body></html>", tmp_path) == "foreign"
    assert refused(b'[{"at": 1}]', tmp_path) == "foreign"
    assert refused(b"at;n;x;s\n1;2;3;4\n", tmp_path) == "foreign"
    assert refused("at,n\n".encode("utf-16"), tmp_path) == "encoding"
    assert refused(b"n,x,s\n1,2,3\n", tmp_path) == "columns"
    assert refused(b"at,n,x,s,z\n", tmp_path) == "columns"
    with pytest.raises(
        DropError, match=r"expected each column once \(.*\), of at and, where they are known, n, x, s, got"
    ):
        parse(b"at,n,x,s,z\n", tmp_path)
    assert refused(b"at,n,n,s\n", tmp_path) == "columns"
    assert (
        refused(parquet(tmp_path, at=pa.array([datetime(2020, 1, 1)]), x=pa.array(["1.0"])), tmp_path) == "column_type"
    )


def test_limits_hold(tmp_path: Path) -> None:
    assert refused(HEAD + GOOD * 10, tmp_path, Limits(file_bytes=100)) == "too_large"
    assert refused(HEAD + GOOD * 10, tmp_path, Limits(rows=9)) == "too_large"
    assert refused(HEAD + b"a" * 500, tmp_path, SMALL) == "too_large"
    at = pa.array([datetime(2020, 1, 1)] * 10_000, pa.timestamp("us"))
    bomb = parquet(tmp_path, at=at, s=pa.array(["x" * 1_000]).take(pa.array([0] * 10_000)))
    assert len(bomb) < 200_000
    assert refused(bomb, tmp_path, Limits(decoded_bytes=2**20)) == "too_large"
    assert refused(bomb, tmp_path, Limits(rows=100)) == "too_large"
    assert parse(bomb, tmp_path).rows.num_rows == 10_000


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


def test_a_text_may_begin_with_many_blank_lines(tmp_path: Path) -> None:
    assert parse(b"\n" * 200_000 + HEAD + GOOD, tmp_path).rows["_line"].to_pylist() == [200_002]
    assert parse(b"\r\n" * 200_000 + b'{"at": "2020-01-01"}\n', tmp_path).rows["_line"].to_pylist() == [200_001]
    assert refused(b"\n" * 200_000 + b'[{"at": 1}]', tmp_path) == "foreign"
    assert refused(b"\n" * 200_000, tmp_path) == "empty"


@pytest.mark.parametrize("kind", [pa.binary_view(), pa.large_binary(), pa.binary(3)], ids=str)
def test_bytes_are_read_from_each_type_that_holds_them(kind: pa.DataType, tmp_path: Path) -> None:
    (tmp_path / "drop").write_bytes(parquet(tmp_path, raw=pa.array([b"\xff\x00a", None, b"abc"], kind)))
    table = Table(name="rows", columns=(Column(name="raw", kind="binary"),))
    [part] = read_drop(tmp_path / "drop", table)
    assert part.rows["raw"].to_pylist() == [b"\xff\x00a", None, b"abc"]


CELL = st.sampled_from(
    [b"", b"1", b" 2 ", b"-0.5", b"nan", b"1e400", b"a", b"\xff", b"\0", b"\xc3\xa9", b"2020-01-01T00:00:00", b"\r"]
)
QUOTED = st.sampled_from([b'"', b'""', b'"a"', b'"a,b"', b'"a\nb"', b'"a""b"', b'"a'])


@settings(max_examples=examples(300), deadline=None)
@given(
    rows=st.lists(st.lists(st.one_of(CELL, QUOTED), min_size=1, max_size=5)), block=st.sampled_from([32, 64, 10_000])
)
@example(rows=[[b'"'], [b'"', b"", b"", b""]], block=32)
def test_no_line_of_a_csv_is_lost(
    rows: list[list[bytes]], block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    body = b"".join(b",".join(cells) + b"\n" for cells in rows)
    tmp_path = tmp_path_factory.mktemp("csv")
    parsed = parse(HEAD + GOOD + body, tmp_path, Limits(block_bytes=block, line_bytes=10_000))
    starts = {*parsed.rows["_line"].to_pylist(), *(row.line for row in parsed.unparsable)}
    assert len(starts) == parsed.rows.num_rows + len(parsed.unparsable)
    _every_line_is_covered(HEAD + GOOD + body, starts, parsed)
    whole = parse(HEAD + GOOD + body, tmp_path)
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


@settings(max_examples=examples(300), deadline=None)
@given(rows=st.lists(st.lists(CELL.filter(lambda cell: cell not in (b"\xff", b"\0", b"\r")), min_size=4, max_size=4)))
def test_both_ways_to_read_a_csv_agree(rows: list[list[bytes]]) -> None:
    lines = [b",".join(cells) for cells in rows]
    slow = csv._typed(csv._read_lines(lines, 2, 4, CsvForm(), Limits(), last=True), ["at", "n", "x", "s"], TABLE)
    quick = csv._typed(csv._read_plain(b"\n".join(lines), 2, 4, CsvForm()), ["at", "n", "x", "s"], TABLE)
    assert str(slow) == str(quick)


@settings(max_examples=examples(300), deadline=None)
@given(
    values=st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.recursive(
                st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["at", "n", "x", "s", "z"]), inner, max_size=5)
                ),
                max_leaves=8,
            ),
        )
    )
)
def test_no_line_of_json_is_lost(values: list[object], tmp_path_factory: pytest.TempPathFactory) -> None:
    lines = [value.replace(b"\n", b"") if isinstance(value, bytes) else json.dumps(value).encode() for value in values]
    data = b'{"at": "2020-01-01T00:00:00"}\n' + b"".join(line + b"\n" for line in lines)
    parsed = parse(data, tmp_path_factory.mktemp("json"))
    come = sum(bool(line.strip()) for line in data.split(b"\n"))
    assert parsed.rows.num_rows + len(parsed.unparsable) == come


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
def test_another_format_stays_one(data: bytes, reason: str, encoding: str, has_header: bool, tmp_path: Path) -> None:
    (tmp_path / "drop").write_bytes(data)
    with pytest.raises(DropError) as caught:
        list(read_drop(tmp_path / "drop", csv_table("e,y", encoding=encoding, has_header=has_header)))
    assert caught.value.reason == reason


@pytest.mark.parametrize("first", ["ORCID", "[kWh] e", "{x}", "%PDF"])
def test_a_header_of_other_names_is_told_as_one(first: str, tmp_path: Path) -> None:
    """Whatever another format begins with: its names are what is wrong."""
    (tmp_path / "drop").write_text(f"{first},z\na,1\n")
    with pytest.raises(DropError) as caught:
        list(read_drop(tmp_path / "drop", csv_table(f"{first},y")))
    assert (caught.value.reason, first in str(caught.value)) == ("columns", True)


def test_a_wide_table_comes_in_parts_of_few_cells(tmp_path: Path) -> None:
    table = Table(name="rows", columns=tuple(Column(name=f"c{at}", kind="float64") for at in range(500)))
    (tmp_path / "lines").write_bytes(b"{}\n" * 5_000)
    pq.write_table(pa.table({f"c{at}": pa.nulls(5_000) for at in range(500)}), tmp_path / "parquet")
    for name in ("lines", "parquet"):
        sizes = [part.rows.num_rows for part in read_drop(tmp_path / name, table)]
        assert (max(sizes), sum(sizes)) == (2**21 // 500, 5_000)


def test_a_parquet_file_of_tiny_row_groups_is_refused(tmp_path: Path) -> None:
    at = pa.array([datetime(2020, 1, 1)] * 12, pa.timestamp("us"))
    pq.write_table(pa.table({"at": at}), tmp_path / "x.parquet", row_group_size=1)
    data = (tmp_path / "x.parquet").read_bytes()
    assert refused(data, tmp_path, Limits(row_groups=11)) == "too_large"
    assert parse(data, tmp_path, Limits(row_groups=12)).rows.num_rows == 12
