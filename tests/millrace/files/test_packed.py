"""Files that are packed: gzip and zip by common tools, damaged ones, and ones that unpack to far more than they are."""

import gzip
import io
import random
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.contract.kinds import KINDS, Kind
from millrace.contract.schema import Column, Table
from millrace.contract.validate import validate
from millrace.datasets.quarantine import QuarantineFile
from millrace.errors import DropError
from millrace.files.cast import from_text
from millrace.files.catalogue import PACKINGS, read_drop
from millrace.files.parsed import Limits, Parsed
from tests import hostile
from tests.archives import zipped
from tests.millrace.files.conftest import Read

TABLE = Table(name="rows", columns=(Column(name="n", kind="int32"), Column(name="s", kind="string")))
CSV = b'n,s\n1,"two\nlines"\n2,b\nx,c\n'
MANY = b"n,s\n" + b"".join(b"%d,%s\n" % (n, random.Random(n).randbytes(9).hex().encode()) for n in range(20_000))
"""Numbers and words that hardly pack, so that a piece of the packed bytes is a piece of the rows."""


PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zip": lambda data: zipped(**{"a/rows.csv": data})}


@pytest.mark.parametrize("kind", PACKINGS)
def test_packed_rows_are_those_of_the_plain_file_line_by_line(kind: str, read: Read) -> None:
    plain, packed = read(CSV, TABLE), read(PACK[kind](CSV), TABLE)
    assert packed.rows.equals(plain.rows)
    assert packed.rows["_line"].to_pylist() == [2, 4]
    assert packed.unparsable == plain.unparsable
    assert [row.line for row in packed.unparsable] == [5]


def flipped(data: bytes) -> bytes:
    half = len(data) // 2
    return data[:half] + bytes([data[half] ^ 0xFF]) + data[half + 1 :]


def locked(data: bytes) -> bytes:
    """With the bit for a password set in the member's header and in the list of members."""
    at = data.rindex(b"PK\x01\x02")
    return data[:6] + b"\x01\x00" + data[8 : at + 8] + b"\x01\x00" + data[at + 10 :]


def with_method(data: bytes, method: int) -> bytes:
    at = data.rindex(b"PK\x01\x02")
    return data[: at + 10] + method.to_bytes(2, "little") + data[at + 12 :]


def in_list(data: bytes, at: int, what: bytes) -> bytes:
    """With these bytes at this place of the one record in the list of members.

    https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3.12"""
    at += data.rindex(b"PK\x01\x02")
    return data[:at] + what + data[at + len(what) :]


def with_long_list() -> bytes:
    """A list of members of 6 MiB: each has a comment of the largest size."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number in range(100):
            (member := zipfile.ZipInfo(f"{number}.csv")).comment = bytes(2**16 - 1)
            archive.writestr(member, b"")
    return made.getvalue()


@pytest.mark.parametrize(
    ("data", "reason", "got"),
    [
        (gzip.compress(MANY)[:-200_000], "truncated", "unpacked bytes"),
        (flipped(gzip.compress(MANY)), "corrupt", "unpacked bytes"),
        (gzip.compress(MANY)[:-8] + bytes(8), "corrupt", "CRC"),
        (gzip.compress(MANY) + b"more", "corrupt", "Not a gzipped file"),
        (gzip.compress(gzip.compress(CSV)), "foreign", "gzip"),
        (gzip.compress(b""), "empty", "0 bytes"),
        (zipped(**{"rows.csv": MANY})[:-200_000], "truncated", ""),
        (flipped(zipped(**{"rows.csv": MANY})), "corrupt", "rows.csv"),
        (zipped(**{"a.csv": CSV, "b.csv": CSV}), "foreign", "a.csv, b.csv"),
        (zipped(**{"data/": b""}), "empty", "without files"),
        (zipped(**{"[Content_Types].xml": b"", "xl/workbook.xml": b""}), "foreign", "workbook"),
        (locked(zipped(**{"rows.csv": CSV})), "foreign", "rows.csv"),
        (with_method(zipped(**{"rows.csv": CSV}), 97), "foreign", "compression"),
        (in_list(zipped(**{"rows.csv": CSV}), 6, b"\xff"), "foreign", "version"),
        (zipped(**{"rows.csv": CSV}) + zipped(**{"rows.csv": CSV}), "corrupt", "bytes before it"),
        (in_list(zipped(**{"ü.csv": CSV}), 46, b"\xff"), "corrupt", "utf-8"),
        (in_list(zipped(**{"rows.csv": CSV}), 42, b"\x00\xff\xff\xff"), "corrupt", ""),
        (zipped(**{"rows.csv": CSV})[:-6] + b"\xff\x00\x00\x00\x00\x00", "corrupt", ""),
        (with_long_list(), "too_large", ""),
    ],
    ids=[
        *("cut gzip", "flipped gzip", "gzip checksum", "text behind gzip", "gzip in gzip", "gzip of nothing"),
        *("cut zip", "flipped zip", "two files", "no files", "a workbook", "a password", "a rare compression"),
        *("a later version", "a second archive", "no UTF-8", "a far member", "a member before the file"),
        "a long list",
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_whole(data: bytes, reason: str, got: str, read: Read) -> None:
    with pytest.raises(DropError) as caught:
        read(data, TABLE)
    assert (caught.value.reason, bool(caught.value.expected)) == (reason, True)
    assert got in caught.value.got


@pytest.mark.parametrize("kind", PACKINGS)
def test_a_bomb_is_refused_before_its_bytes_are_written(kind: str, read: Read, tmp_path: Path) -> None:
    """Ten megabytes in ten kilobytes, where one megabyte is allowed; a zip file may also say less than it holds."""
    bomb = PACK[kind](bytes(10 * 2**20))
    said = [bomb]
    if kind == "zip":
        at = bomb.rindex(b"PK\x01\x02")
        said.append(bomb[: at + 24] + (100).to_bytes(4, "little") + bomb[at + 28 :])
    for data in said:
        with pytest.raises(DropError) as caught:
            read(data, TABLE, Limits(file_bytes=2**20))
        # A zip file that lies about its size ends where it says, with another checksum.
        assert caught.value.reason == ("too_large" if data is bomb else "corrupt")
    with pytest.raises(DropError) as caught:
        read(bomb, TABLE, Limits(file_bytes=2**20))
    assert str(2**20) in caught.value.expected
    assert str(len(bomb)) in caught.value.got


def read(path: Path, table: Table, limits: Limits) -> Parsed | None:
    """All parts in one; None for a drop that is refused whole."""
    try:
        parts = list(read_drop(path, table, limits))
    except DropError:
        return None
    rows = pa.concat_tables([part.rows for part in parts])
    rows.validate(full=True)
    return Parsed(rows=rows, unparsable=tuple(row for part in parts for row in part.unparsable))


def survives(folder: Path, kind: str, seed: int) -> bool:
    """Whether the drop of this seed has rows; fails where one of them is lost or its quarantine cannot be kept."""
    random, path = Random(f"{kind} {seed}"), folder / "drop"
    path.write_bytes(data := hostile.FORMATS[kind](random))
    limits = Limits(block_bytes=random.choice([256, 4 * 2**20]), batch_rows=random.choice([3, 65_536]))
    parsed = read(path, hostile.TABLE, limits)
    if parsed is None:
        return False
    judged = validate(parsed.rows, hostile.TABLE)
    assert judged.accepted.num_rows + len(judged.refused) == parsed.rows.num_rows
    lines = [*parsed.rows["_line"].to_pylist(), *(row.line for row in parsed.unparsable)]
    assert len(set(lines)) == len(lines)
    if kind == "jsonlines":
        assert len(lines) == sum(bool(line.strip()) for line in data.split(b"\n"))
    pq.write_table(judged.accepted, folder / "accepted")
    with QuarantineFile(folder / "refused", drop_id="r", source="s", as_of=datetime.now(UTC)) as kept:
        kept.add(parsed.unparsable)
        kept.add(judged.refused)
    assert kept.rows == len(parsed.unparsable) + len(judged.refused)
    return True


NIGHT = pytest.mark.night("by day sixty of the 5,000 drops of each format")
STEPS = {"parquet": 10}
"""Each file of Parquet is read in a process of its own: by night a tenth of them."""


@pytest.mark.parametrize("seeds", [range(60), pytest.param(range(60, 5_000), marks=NIGHT)], ids=str)
@pytest.mark.parametrize("kind", hostile.FORMATS)
def test_no_drop_makes_an_uncaught_error(kind: str, seeds: range, tmp_path: Path) -> None:
    found = [survives(tmp_path, kind, seed) for seed in seeds[:: STEPS.get(kind, 1) if len(seeds) > 60 else 1]]
    assert any(found)


@pytest.mark.parametrize("header", [b"at\rsmall", b'"' + b"a" * 200_000, b"at,sm\rall"], ids=["mac", "long", "return"])
def test_a_header_that_is_no_line_is_a_reason(header: bytes, tmp_path: Path) -> None:
    (tmp_path / "drop").write_bytes(header + b"\n2020-01-01,1\n")
    with pytest.raises(DropError) as caught:
        list(read_drop(tmp_path / "drop", hostile.TABLE))
    assert caught.value.reason in ("columns", "foreign")


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_text_that_is_no_utf_8_costs_its_row(kind: pa.DataType, tmp_path: Path) -> None:
    texts = pa.array([b"good", b"\xff\xfe", None, b"fine"], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 4, texts.buffers(), texts.null_count).cast(kind, safe=False)
    at = pa.array([datetime(2020, 1, day, tzinfo=UTC) for day in (1, 2, 3, 4)], pa.timestamp("us"))
    pq.write_table(pa.table({"at": at, "text": broken}), tmp_path / "drop", use_dictionary=pa.types.is_dictionary(kind))
    table = Table(name="rows", columns=tuple(hostile.TABLE.column(name) for name in ("at", "text")), keys=(("at",),))
    parsed = read(tmp_path / "drop", table, Limits())
    assert parsed is not None
    assert parsed.rows["text"].to_pylist() == ["good", None, "fine"]
    (row,) = parsed.unparsable
    assert (row.line, row.reason, row.violations[0].column) == (2, "type", "text")


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_has_one_verdict_alone_and_beside_a_bad_neighbour(kind: Kind) -> None:
    texts = [text for text in hostile.TEXTS if text != "\ud800"]
    for text in texts:
        alone, wrong = from_text(pa.array([text]), kind)
        beside, also = from_text(pa.array(["no such cell", text, "#"]), kind)
        assert (str(beside[1:2]), 1 in also) == (str(alone), wrong == [0]), text
