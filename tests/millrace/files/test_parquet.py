"""How Parquet is encoded changes no verdict, and a small file cannot unpack to more than the memory that there is."""

# ruff: noqa: DTZ001
from __future__ import annotations

import io
import struct
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.contract.kinds import Kind
from millrace.contract.schema import Column, Table
from millrace.errors import DropError
from millrace.files.catalogue import read_drop
from millrace.files.parsed import Limits

TABLE = Table(
    name="rows",
    columns=(
        Column(name="s", kind="string"),
        Column(name="b", kind="binary"),
        Column(name="n", kind="int64"),
    ),
)
ROWS = 3_000
TEXTS = ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "dictionary"]
MIB = 2**20


def written(path: Path, texts: list[Any] | pa.Array, data: list[Any], **how: Any) -> Path:
    columns = {"s": pa.array(texts, pa.string()), "b": pa.array(data, pa.binary()), "n": pa.array(range(len(texts)))}
    pq.write_table(pa.table(columns), path, **({"compression": "zstd"} | how))
    return path


def read(path: Path, limits: Limits | None = None) -> tuple[pa.Table, list[int]]:
    """Rows and the lines of those that are quarantined."""
    parts = list(read_drop(path, TABLE, limits))
    return pa.concat_tables([part.rows for part in parts]), [row.line for part in parts for row in part.unparsable]


def refusal(path: Path, limits: Limits | None = None) -> DropError:
    with pytest.raises(DropError) as caught:
        read(path, limits)
    return caught.value


def by_encoding(encoding: str) -> dict[str, Any]:
    if encoding == "dictionary":
        return {"use_dictionary": True}
    return {"use_dictionary": False, "column_encoding": {"s": encoding, "b": encoding, "n": "DELTA_BINARY_PACKED"}}


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("encoding", TEXTS)
def test_each_encoding_of_a_text_gives_the_same_rows(encoding: str, version: str, tmp_path: Path) -> None:
    random = Random(1)
    texts = [random.choice([None, "", "a" * 300, f"row {row}", "ö" * (row % 40)]) for row in range(ROWS)]
    data = [random.choice([None, b"", b"\xff\x00", bytes([row % 256]) * (row % 90)]) for row in range(ROWS)]
    how = by_encoding(encoding) | {"data_page_version": version, "data_page_size": 4096, "row_group_size": 1_100}
    path = written(tmp_path / "drop", texts, data, **how)
    for limits in (Limits(), Limits(batch_rows=77), Limits(batch_bytes=5_000)):
        rows, wrong = read(path, limits)
        assert (rows["s"].to_pylist(), rows["b"].to_pylist(), wrong) == (texts, data, [])
        assert rows["n"].to_pylist() == list(range(ROWS))


@pytest.mark.parametrize("encoding", TEXTS)
@pytest.mark.parametrize(("column", "most"), [("s", Limits().line_bytes), ("b", Limits().cell_bytes)])
def test_a_cell_has_a_largest_size(column: str, most: int, encoding: str, tmp_path: Path) -> None:
    """As a line of a text file has: one byte more is a reason, with its column and row."""
    for size in (most, most + 1):
        texts, data = ["a"] * 500, [b"b"] * 500
        (texts if column == "s" else data)[300] *= size
        path = written(tmp_path / "drop", texts, data, **by_encoding(encoding))
        assert path.stat().st_size < 20_000
        if size == most:
            assert len(read(path)[0][column][300].as_py()) == most
        else:
            error = refusal(path)
            assert error.reason == "too_large"
            assert f"in the column {column}, row 301" in error.expected


@pytest.mark.parametrize("encoding", TEXTS)
def test_rows_for_which_there_is_no_memory_are_read_fewer_at_once(encoding: str, tmp_path: Path) -> None:
    """500 MB of one word, of which the footer says nothing."""
    path = written(tmp_path / "drop", pa.array(["c" * 100_000] * 5_000), [None] * 5_000, **by_encoding(encoding))
    assert path.stat().st_size < 100_000
    rows, wrong = read(path, Limits(memory_bytes=768 * MIB))
    assert (rows["n"].to_pylist(), wrong) == (list(range(5_000)), [])
    assert set(rows["s"].unique().to_pylist()) == {"c" * 100_000}


def test_a_page_for_which_there_is_no_memory_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "drop", pa.array(["c" * 100_000] * 3_000), [None] * 3_000, **by_encoding("PLAIN"))
    error = refusal(path, Limits(memory_bytes=200 * MIB))
    assert error.reason == "too_large"
    assert "within 200 MiB of memory" in error.expected


def unsigned(number: int) -> bytes:
    """In Thrift's compact protocol."""
    found = b""
    while number > 127:
        number, found = number >> 7, found + bytes([number & 127 | 128])
    return found + bytes([number])


def with_footer(path: Path, footer: bytes) -> Path:
    path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    return path


LEAF = b"\x15\x0c\x25\x02\x18\x01a\x00"


def test_columns_thousands_deep_within_each_other_are_refused(tmp_path: Path) -> None:
    """At 15,000 pyarrow's reader of the schema ends its process."""
    for depth, reason in ((15_000, "corrupt"), (101, "column_type"), (50, "column_type")):
        schema = b"\x19\xfc" + unsigned(depth + 1) + b"\x48\x01s\x15\x02\x00" * depth + LEAF
        path = with_footer(tmp_path / "deep", b"\x15\x02" + schema + b"\x16\x00\x19\x0c\x00")
        assert refusal(path).reason == reason


def test_a_footer_of_more_columns_than_memory_is_refused(tmp_path: Path) -> None:
    """Three bytes each, of which pyarrow makes 700."""
    schema = b"\x19\x2c\x48\x01s\x15\x02\x00" + LEAF
    limits = Limits(memory_bytes=256 * MIB)
    for columns in (600_000, 1_700_000):
        group = b"\x19\xfc" + unsigned(columns) + b"\x26\x00\x00" * columns + b"\x16\x00\x16\x00\x00"
        path = with_footer(tmp_path / "wide", b"\x15\x02" + schema + b"\x16\x00\x19\x1c" + group + b"\x00")
        assert refusal(path, limits).reason == "corrupt"
    # Entries of key and value, both empty: 2 bytes of text each.
    entries = 2_600_000
    kept = b"\x19\xfc" + unsigned(entries) + b"\x18\x00\x18\x00\x00" * entries
    path = with_footer(tmp_path / "kept", b"\x15\x02" + schema + b"\x16\x00\x19\x0c" + kept + b"\x00")
    assert refusal(path, limits).reason == "corrupt"


def test_nanoseconds_of_the_old_form_are_not_cut_off(tmp_path: Path) -> None:
    table = Table(name="rows", columns=(Column(name="at", kind="timestamp"),))
    path = tmp_path / "drop"
    exact = pa.array([1_577_836_800_000_000_000, 1_577_836_800_000_000_001], pa.timestamp("ns"))
    pq.write_table(pa.table({"at": exact}), path, use_deprecated_int96_timestamps=True)
    (part,) = read_drop(path, table)
    assert part.rows["at"].to_pylist() == [datetime(2020, 1, 1)]
    assert [(row.line, row.violations[0].reason) for row in part.unparsable] == [(2, "type")]

    # Of 1600 too, with a nanosecond by which it would come out as 2184.
    far = io.BytesIO()
    pq.write_table(
        pa.table({"at": [datetime(1600, 1, 1)]}),
        far,
        use_deprecated_int96_timestamps=True,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
    )
    data = bytearray(far.getvalue())
    day = 2_440_588 + (datetime(1600, 1, 1) - datetime(1970, 1, 1)).days
    at = data.find(struct.pack("<qi", 0, day))
    data[at : at + 8] = struct.pack("<q", 384)
    path.write_bytes(data)
    with pytest.raises(DropError, match="whole microseconds, or of 1678 to 2262"):
        list(read_drop(path, table))


@pytest.mark.parametrize(
    ("kind", "zone", "remedy"),
    [
        ("timestamp_utc", None, "write its times with a zone, which INT96 has not; or `timezone: false`"),
        ("timestamp", "UTC", "write its times without a zone; or `timezone: true`"),
    ],
)
def test_times_with_the_wrong_zone_are_refused_with_what_helps(
    kind: Any, zone: str | None, remedy: str, tmp_path: Path
) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"at": pa.array([0], pa.timestamp("us", zone))}), path)
    table = Table(name="rows", columns=(Column(name="at", kind=kind),))
    with pytest.raises(DropError, match=remedy):
        list(read_drop(path, table))
    other: Kind = "timestamp" if kind == "timestamp_utc" else "timestamp_utc"
    (read,) = read_drop(path, Table(name="rows", columns=(Column(name="at", kind=other),)))
    assert read.rows.num_rows == 1, "as the remedy says"
