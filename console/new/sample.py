"""Takes a sample of a large file, which stands for the file while a workload is proposed.

The sample has stretches of successive rows, from the first to the last: neighbours stay neighbours, and all times are
there. A text file keeps the numbers of its lines, since blank lines stand for those that are left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

import pyarrow.parquet as pq

from millrace.console.files.given import Given
from millrace.errors import DropError
from millrace.files.pages import check_footer
from millrace.files.sniff import HEAD_BYTES, format_of

MOST_BYTES = 48 * 2**20
"""A larger text file is sampled to about so many bytes: 320,000 rows of 20 columns, which take some two minutes."""
MOST_CELLS = 6_400_000
"""The same for a Parquet file."""
STRETCHES, LONG_STRETCHES = 100, 10
"""A label that lies hours ahead needs rows one after the other, so there are fewer and longer stretches."""
PIECE_BYTES, RECORD_BYTES = 2**20, 2**20
BATCH_ROWS = 65_536


def sampled(files: Sequence[Given], folder: Path, *, looks_ahead: bool) -> tuple[tuple[Given, ...], tuple[str, ...]]:
    """The files, the large ones each with its sample in `folder`, and a sentence on each sample.

    A file that no reader knows is left as it is, for the reader to refuse."""
    stretches = LONG_STRETCHES if looks_ahead else STRETCHES
    found = [_sampled(one, folder / str(at), stretches, files=len(files)) for at, one in enumerate(files)]
    return tuple(one for one, _ in found), tuple(said for _, said in found if said)


def _sampled(given: Given, folder: Path, stretches: int, *, files: int) -> tuple[Given, str]:
    if given.kind or not given.plain.is_file():
        return given, ""
    with given.plain.open("rb") as file:
        head = file.read(HEAD_BYTES)
    try:
        form = format_of(head) if head.strip() else ""
    except DropError:
        return given, ""
    folder.mkdir(parents=True)
    sample, taken, rows = folder / given.plain.name, 0, 0
    if form == "parquet":
        taken, rows = _rows(given.plain, sample, stretches, most=MOST_CELLS // files)
    elif form in ("csv", "jsonlines") and given.plain.stat().st_size > (most := MOST_BYTES // files):
        taken, rows = _lines(given.plain, sample, stretches, most=most, has_quotes=form == "csv")
    if not rows:
        return given, ""
    said = (
        f"{given.name or given.plain.name} is large: the proposal rests on {taken:,} of its {rows:,} lines, in "
        f"{stretches} stretches from the first to the last. Others may hold what the contract does not know: see "
        "the quarantine of the first drop"
    )
    return replace(given, sample=sample), said


def _lines(path: Path, sample: Path, stretches: int, *, most: int, has_quotes: bool) -> tuple[int, int]:
    """Write the sample; the number of its lines, and of all lines."""
    size, length = path.stat().st_size, most // stretches
    taken = lines = 0
    with path.open("rb") as file, sample.open("wb") as out:
        for at in range(stretches):
            start = (size - length) * at // (stretches - 1)
            left_out = sum(piece.count(b"\n") for piece in _up_to(file, start, has_quotes=has_quotes))
            out.write(b"\n" * left_out)
            lines += left_out
            for record in _up_to(file, start + length, has_quotes=has_quotes):
                out.write(record)
                taken += record.count(b"\n")
    return taken, lines + taken


def _up_to(file: IO[bytes], place: int, *, has_quotes: bool) -> Iterator[bytes]:
    """The file's bytes up to the end of the record in which the place lies; none if the file is beyond it."""
    quotes = 0
    while (left := place - file.tell()) > 0 and (piece := file.read(min(left, PIECE_BYTES))):
        quotes += piece.count(b'"')
        yield piece
        if left <= PIECE_BYTES:
            # A line ends its record where the quotes are even. A stray quote is not followed beyond a whole record.
            most = file.tell() + RECORD_BYTES
            while line := file.readline():
                quotes += line.count(b'"')
                yield line
                if not has_quotes or quotes % 2 == 0 or file.tell() > most:
                    return


def _rows(path: Path, sample: Path, stretches: int, *, most: int) -> tuple[int, int]:
    """Write the sample of a Parquet file; the number of its rows, and of all rows. Both are 0 for a small file."""
    try:
        check_footer(path)
    except DropError:
        return 0, 0
    with pq.ParquetFile(path) as file:
        rows, wanted = file.metadata.num_rows, most // max(file.metadata.num_columns, 1)
        if rows <= wanted:
            return 0, 0
        length, begin, taken = max(wanted // stretches, 1), 0, 0
        starts = [(rows - length) * at // (stretches - 1) for at in range(stretches)]
        with pq.ParquetWriter(sample, file.schema_arrow) as writer:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for start in starts:
                    first, last = max(start - begin, 0), min(start + length - begin, batch.num_rows)
                    if first < last:
                        writer.write_batch(batch.slice(first, last - first))
                        taken += last - first
                begin += batch.num_rows
    return taken, rows
