"""The formats of dropped files and their packings, by the names that the code uses for them.

Those of a drop are found by its first bytes, not by its name; it is unpacked to a bounded size, and read.

A CSV file of the contract may begin with the first bytes of any other format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from io import BufferedIOBase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from millrace.contract.reasons import Reason
from millrace.contract.schema import Table
from millrace.errors import DropError
from millrace.files import csv, gzipped, image, jsonlines, zipped
from millrace.files.csv import check_names, names_of
from millrace.files.file_format import FileFormat, Packing
from millrace.files.lines import BOM, ByteStream
from millrace.files.origin import Origin, fill_generated
from millrace.files.parsed import Limits, Parsed


def _read_parquet(path: Path, table: Table, limits: Limits, origin: Origin | None) -> Iterator[Parsed]:
    from millrace.files.parquet import read  # imports pyarrow, which few callers need

    return read(path, table, limits, origin)


FORMATS: Mapping[str, FileFormat] = {
    "csv": csv.FORMAT,
    "jsonlines": jsonlines.FORMAT,
    "parquet": FileFormat(names=("Parquet",), read=_read_parquet, begins=lambda head: head.startswith(b"PAR1")),
    "image": image.FORMAT,
}
PACKINGS: Mapping[str, Packing] = {
    "gzip": gzipped.FORMAT,
    "zip": zipped.FORMAT,
}


def named(formats: Iterable[FileFormat]) -> str:
    """The names of several formats for people: `CSV, Parquet or an image`."""
    *others, last = [name for one in formats for name in one.names]
    return f"{', '.join(others)} or {last}" if others else last


PIECE_BYTES = 2**20
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
UTF_32 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
HEAD_BYTES = 65_536
"""How many bytes of a file are read to find its format."""
KNOWN = f"{named(FORMATS.values())}, packed or not"
TAR = (257, b"ustar")
"""Where a tar archive has these bytes. https://www.gnu.org/software/tar/manual/html_node/Standard.html"""
NOT_TEXT = {
    **{one.magic: f"a {one.name} file within a packed one: pack once" for one in PACKINGS.values()},
    b"\xd0\xcf\x11\xe0": "a file of an old Office: `millrace drop` takes a workbook; else save the sheet as CSV",
    b"\x28\xb5\x2f\xfd": "a zstandard file",
    b"%PDF-": "a PDF",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
}
"""Formats that are not read, by their first bytes, with the words for them in the refusal."""
LARGER = "`stages.<stage>.bulk` takes a larger drop of training"
"""What is said beside the limit on the bytes of a drop."""
JSON_ITEM = b'{["-0123456789tfn]'
"""The bytes with which an item of a JSON list begins, and the end of an empty list."""


def read_drop(path: Path, table: Table, limits: Limits | None = None, origin: Origin | None = None) -> Iterator[Parsed]:
    """The drop in parts, in its order. Every row is in exactly one part, typed or raw. Lines are of the unpacked file.

    `origin` is needed for what is not in the bytes: generated columns, objects of a manifest, a single image's key.

    Raises DropError if the object cannot be read as rows, perhaps after some parts. These must then be thrown away,
    since the drop is quarantined whole."""
    limits = limits or Limits()
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise DropError(Reason.TOO_LARGE, expected=f"{limits.file_bytes} bytes at most; {LARGER}", got=f"{size}")
    with unpacked(path, limits) as plain:
        yield from _read(plain, table, limits, origin)


def _read(path: Path, table: Table, limits: Limits, origin: Origin | None) -> Iterator[Parsed]:
    """The parts of a file that is not packed."""
    form = FORMATS[format_in(path, table)]
    has_generated = any(column.generated for column in table.columns)
    # Rows are counted while they are read: a small compressed file may unpack to any size.
    rows = 0
    for read in form.read(path, table, limits, origin):
        part = replace(read, rows=fill_generated(read.rows, table, origin)) if origin and has_generated else read
        rows += part.rows.num_rows + len(part.unparsable)
        if rows > limits.rows:
            raise DropError(Reason.TOO_LARGE, expected=f"{limits.rows} rows at most", got="more")
        yield part
    if not rows:
        raise DropError(Reason.EMPTY, expected="rows", got="a header only")


def format_in(path: Path, table: Table) -> str:
    """The format of a drop of this table: a key of `FORMATS`.

    Raises DropError `empty` for a file without text, and the errors of `format_of`."""
    with path.open("rb") as file:
        return format_at(file, path.stat().st_size, table)


def format_at(file: ByteStream, size: int, table: Table) -> str:
    """As `format_in`, for a file of `size` bytes that is open and at its beginning."""
    head = file.read(HEAD_BYTES)
    while not head.strip() and (more := file.read(HEAD_BYTES)):
        head = head[:1] + more  # one blank byte stays: behind blank lines there is text, whatever it begins with
    if not head.strip():
        raise DropError(Reason.EMPTY, expected="rows", got=f"{size} bytes without any")
    return "csv" if is_csv(head, table) else format_of(head)


def is_csv(head: bytes, table: Table) -> bool:
    """Whether the first line is the contract's header or, for files without one, has the contract's number of cells.

    The header `ORCID,y` begins like an ORC file, and `[kWh] e,y` like a JSON list."""
    first = next((line for line in head.removeprefix(BOM).split(b"\n") if line.strip()), b"")
    try:
        text = first.removesuffix(b"\r").decode(table.csv.encoding)
        names = names_of(text.encode(), table.csv)
        if not table.csv.columns:
            return bool(check_names(names, table))
    except (DropError, UnicodeDecodeError):
        return False
    # Files without a header: the number of cells must be right and more than one, since one cell is no sign. All
    # characters must be text, except for a NUL, which only costs its line. And no line may be JSON.
    return (
        len(names) == len(table.csv.columns) > 1
        and all(character.isprintable() or character in "\t\0\u00a0\u202f" for character in text)
        and not ("\0" in text and head.startswith(UTF_16))
        and not any(_is_json(line) for line in head.removeprefix(BOM).split(b"\n"))
        and not _is_cut_json(head)
    )


def _is_json(line: bytes) -> bool:
    """Whether the line is a whole object or a whole list of JSON."""
    if not line.lstrip().startswith((b"{", b"[")):
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _is_cut_json(head: bytes) -> bool:
    """Whether the first line that is not blank begins like a JSON object and is longer than the head."""
    text = head.removeprefix(BOM).lstrip()
    return b"\n" not in text and text.startswith(b"{") and text[1:].lstrip().startswith(b'"')


def format_of(head: bytes) -> str:
    """The format of a file that begins with these bytes: a key of `FORMATS`.

    Raises DropError `foreign` or `encoding` for a file in none of the formats."""
    # Formats and foreign formats with first bytes of their own come before text.
    if known := next((key for key, one in FORMATS.items() if one.begins and one.begins(head)), ""):
        return known
    if foreign := _foreign(head):
        raise DropError(Reason.FOREIGN, expected=KNOWN, got=foreign)
    if head.startswith(UTF_32 + UTF_16):
        got = "UTF-32" if head.startswith(UTF_32) else "UTF-16"
        raise DropError(Reason.ENCODING, expected="UTF-8", got=got)
    # JSON lines: at least half of the lines are whole objects. A broken first line proves nothing, it is quarantined
    # alone. In a list of objects each line but the last ends with a comma, so it is no whole object.
    lines = [line.strip() for line in head.split(b"\n") if line.strip()]
    is_whole = [line.startswith(b"{") and _is_json(line) for line in lines]
    is_list = lines[0].startswith(b"[") and not _is_json(lines[0]) and not any(is_whole[:-1])
    if not is_list and 2 * sum(is_whole) >= len(lines):
        return "jsonlines"
    # A NUL in the first line means that the file is no text. Further down it only costs its own line.
    if b"\0" in head.partition(b"\n")[0]:
        raise DropError(Reason.FOREIGN, expected=KNOWN, got=f"binary data {head[:8]!r}")
    text = head.removeprefix(BOM).lstrip()
    if text[:1] == b"[" and text[1:].lstrip()[:1] in JSON_ITEM:
        raise DropError(Reason.FOREIGN, expected="one JSON object per line", got="a JSON list")
    return "jsonlines" if text[:1] == b"{" and text[1:].lstrip()[:1] in b'"}' else "csv"


def _foreign(head: bytes) -> str:
    """The words for a foreign format that begins with these bytes; empty if the file may be text.

    Behind `ORC`, an ORC file has bytes that are no text. The header `ORCID,y` has letters there."""
    if head.startswith(b"ORC") and all(chr(byte).isprintable() or byte in b"\t\r\n" for byte in head[:64]):
        return ""
    if head[TAR[0] :].startswith(TAR[1]):
        return "a tar archive: send the files within by themselves"
    return next((what for magic, what in NOT_TEXT.items() if head.startswith(magic)), "")


def packing_of(path: Path) -> Packing | None:
    """The packing of the file, by its first bytes; None for a file that is not packed."""
    with path.open("rb") as file:
        return packing_at(file)


def packing_at(file: ByteStream) -> Packing | None:
    """As `packing_of`, for a file that is open and at its beginning."""
    head = file.read(max(len(one.magic) for one in PACKINGS.values()))
    return next((one for one in PACKINGS.values() if head.startswith(one.magic)), None)


@contextmanager
def unpacked(path: Path, limits: Limits) -> Iterator[Path]:
    """The file itself; for a packed one, the file within, which is there while the block runs.

    Raises DropError `too_large` if that has more than `limits.file_bytes`, before more than these are written, and the
    errors of its packing."""
    packing = packing_of(path)
    if packing is None:
        yield path
        return
    with TemporaryDirectory() as folder:
        size = path.stat().st_size
        with packing.open(path) as packed:
            plain = Path(folder) / packed.name
            if packed.size is not None and packed.size > limits.file_bytes:
                raise _too_large(limits.file_bytes, str(packed.size), size)
            unpack(packed.content, plain, limits.file_bytes, packed_bytes=size)
        yield plain


def unpack(content: BufferedIOBase | IO[bytes], plain: Path, most: int, *, packed_bytes: int) -> None:
    """Write the bytes to `plain`, whatever the packed file says of their number. Raises DropError for more than `most`.

    `packed_bytes` is told in the error."""
    written = 0
    with plain.open("wb") as file:
        while piece := content.read(PIECE_BYTES):
            written += len(piece)
            if written > most:
                raise _too_large(most, "more", packed_bytes)
            file.write(piece)


def _too_large(most: int, came: str, packed: int) -> DropError:
    return DropError(Reason.TOO_LARGE, expected=f"{most} bytes at most unpacked", got=f"{came} in {packed} packed ones")
