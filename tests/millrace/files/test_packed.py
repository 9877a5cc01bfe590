"""Files that are packed: gzip and zip by common tools, damaged ones, and ones that unpack to far more than they are."""

import gzip
import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from millrace.contract.schema import Column, Table
from millrace.errors import DropError
from millrace.files.catalogue import PACKINGS
from millrace.files.parsed import Limits
from tests.millrace.files.conftest import Read

TABLE = Table(name="rows", columns=(Column(name="n", kind="int32"), Column(name="s", kind="string")))
CSV = b'n,s\n1,"two\nlines"\n2,b\nx,c\n'
MANY = b"n,s\n" + b"".join(b"%d,%s\n" % (n, random.Random(n).randbytes(9).hex().encode()) for n in range(20_000))
"""Numbers and words that hardly pack, so that a piece of the packed bytes is a piece of the rows."""


def zipped(method: int = zipfile.ZIP_DEFLATED, /, **members: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


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
        (flipped(zipped(zipfile.ZIP_LZMA, **{"rows.csv": MANY})), "corrupt", ""),
        (flipped(zipped(zipfile.ZIP_BZIP2, **{"rows.csv": MANY})), "corrupt", ""),
        (in_list(zipped(**{"ü.csv": CSV}), 46, b"\xff"), "corrupt", "utf-8"),
        (in_list(zipped(**{"rows.csv": CSV}), 42, b"\x00\xff\xff\xff"), "corrupt", ""),
        (zipped(**{"rows.csv": CSV})[:-6] + b"\xff\x00\x00\x00\x00\x00", "corrupt", ""),
        (with_long_list(), "too_large", ""),
    ],
    ids=[
        *("cut gzip", "flipped gzip", "gzip checksum", "text behind gzip", "gzip in gzip", "gzip of nothing"),
        *("cut zip", "flipped zip", "two files", "no files", "a workbook", "a password", "a rare compression"),
        *("a later version", "flipped lzma", "flipped bzip2", "no UTF-8", "a far member", "a member before the file"),
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
