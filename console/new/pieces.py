"""The file as drops: itself, byte for byte; or its lines in pieces, each behind the line of names."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from millrace.contract.schema import Table
from millrace.files.csv import span_of
from millrace.files.lines import BOM, lines_of
from millrace.files.parsed import Limits
from millrace.files.sniff import HEAD_BYTES, format_of

MOST_BYTES = 256 * 2**20
"""Of a drop; half of what the functions take."""


def write_pieces(source: Path, table: Table, folder: Path, pieces: int) -> Iterator[Path]:
    """The paths of the drops in `folder`; `pieces` 0: one, or as many as keep each below MOST_BYTES."""
    count = pieces or -(-source.stat().st_size // MOST_BYTES)
    if count == 1:
        path = folder / source.name
        shutil.copyfile(source, path)
        yield path
        return
    with source.open("rb") as file:
        form = format_of(file.read(HEAD_BYTES))
    if form == "parquet":
        yield from _row_pieces(source, folder, count)
    else:
        yield from _line_pieces(source, table if form == "csv" else None, folder, count)


def _line_pieces(source: Path, table: Table | None, folder: Path, count: int) -> Iterator[Path]:
    """`table` is that of a CSV file, whose quoted cells may hold line ends and whose first line may be names."""
    data = source.read_bytes()
    mark = BOM if data.startswith(BOM) else b""
    records = list(_records(data.removeprefix(mark), table))
    head = b""
    if table is not None and not table.csv.columns:
        # Blank lines before the names stay with them, so that line n of the first piece is line n of the file.
        names = next(at for at, record in enumerate(records) if record.strip())
        head, records = b"".join(records[: names + 1]), records[names + 1 :]
    count = min(count, len(records))
    edges = [len(records) * number // count for number in range(count + 1)]
    for number in range(count):
        path = folder / f"{source.stem}-{number + 1:03}{source.suffix}"
        path.write_bytes(mark + head + b"".join(records[edges[number] : edges[number + 1]]))
        yield path


def _records(data: bytes, table: Table | None) -> Iterator[bytes]:
    """Lines with their ends; the lines of a quoted cell together."""
    whole = [line + b"\n" for line in data.split(b"\n")]
    whole[-1] = whole[-1].removesuffix(b"\n")
    lines, at, limits = lines_of(data), 0, Limits(line_bytes=len(data) + 1)
    while at < len(lines):
        span = 1 if table is None else max(1, span_of(lines, at, table.csv, limits))
        yield b"".join(whole[at : at + span])
        at += span


def _row_pieces(source: Path, folder: Path, count: int) -> Iterator[Path]:
    import pyarrow.parquet as pq

    rows = pq.read_table(source)
    count = min(count, rows.num_rows)
    edges = [rows.num_rows * number // count for number in range(count + 1)]
    for number in range(count):
        path = folder / f"{source.stem}-{number + 1:03}.parquet"
        piece = rows.slice(edges[number], edges[number + 1] - edges[number])
        pq.write_table(piece, path, write_page_checksum=True)
        yield path
