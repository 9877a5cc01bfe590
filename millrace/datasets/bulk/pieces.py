"""Cuts a drop into pieces of whole records, whatever they hold: quotes, line ends in cells, bytes that are no text.

A text is cut at places of its own choosing. What begins at the first line behind a place may be the midst of a record,
and only who has read all before knows. So each range is looked through at once, as if a record began there, up to the
first record behind its end; then every range must begin where the range before it has ended. Those that do not are
looked through again from there, until all agree: then each range is right, since the first one is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from millrace.contract.schema import Table
from millrace.datasets.bulk.job import BulkJob
from millrace.files.catalogue import FORMATS, format_at, packing_at
from millrace.files.file_format import TextFormat
from millrace.files.lines import Begin, ByteStream, line_at, record_at
from millrace.files.pages import FOOTER_BYTES
from millrace.files.parsed import Limits
from millrace.messages.envelope import Message
from millrace.packing import packed

MOST_FOOTER_BYTES = 2**29
"""The most bytes of a Parquet file's metadata that are fetched, whatever the file says of their number."""


class Piece(Message):
    """Whole records of a drop, next to each other."""

    number: int
    form: str
    """A key of `FORMATS`; empty for a file that is read whole, as a packed one."""
    begin: int = 0
    line: int = 1
    """The number of its first line."""
    until: int = sys.maxsize
    """The number of the line behind its last one."""
    names: tuple[str, ...] = ()
    """The names of a CSV file's cells."""
    groups: tuple[int, ...] = ()
    """The row groups of a Parquet file."""


class Cut(Message):
    """A range of a text."""

    form: str
    begin: int | None = None
    """Where a record begins; None if that is not known."""
    place: int
    upto: int


class Looked(Message):
    """The records of a range: from the first one up to the first one behind its end."""

    begin: int
    end: int
    lines: int
    """The line ends between them."""


Look = Callable[[Sequence[Cut]], list[Looked]]


def format_of(job: BulkJob) -> str:
    """A key of `FORMATS`; empty for a packed drop, and for a format that cannot be cut.

    Raises DropError as `read_drop` does."""
    if packing_at(job.stream()):
        return ""
    form = format_at(job.stream(), job.table)
    return form if FORMATS[form].text or form == "parquet" else ""


def text_of(form: str) -> TextFormat:
    """How a text of this format is read."""
    text = FORMATS[form].text
    assert text
    return text


def look(file: ByteStream, cut: Cut, table: Table, limits: Limits) -> Looked:
    """The records of the range. Raises DropError for a line that is too long."""
    begin = line_at(file, cut.place, limits) if cut.begin is None else cut.begin
    spans = text_of(cut.form).spans(table, limits)
    end, lines = record_at(file, begin, cut.upto, spans, limits) if begin < cut.upto else (begin, 0)
    return Looked(begin=begin, end=end, lines=lines)


def cut_text(form: str, start: Begin, size: int, range_bytes: int, looked: Look) -> list[Piece]:
    """The pieces of a text whose first record is `start`. `looked` looks through many ranges at the same time."""
    places = [start.offset, *range(start.offset + range_bytes, size, range_bytes), size]
    cuts = [Cut(form=form, place=place, upto=upto) for place, upto in pairwise(places)]
    found = looked([cuts[0].model_copy(update={"begin": start.offset}), *cuts[1:]]) if cuts else []
    while wrong := [at for at in range(1, len(found)) if found[at].begin != found[at - 1].end]:
        again = [cuts[at].model_copy(update={"begin": found[at - 1].end}) for at in wrong]
        for at, one in zip(wrong, looked(again), strict=True):
            found[at] = one
    pieces, line = list[Piece](), start.line
    for one in found:
        until = line + one.lines if one.end < size else sys.maxsize
        if one.end > one.begin:
            lines = {"line": line, "until": until, "names": start.names}
            pieces.append(Piece(number=len(pieces), form=form, begin=one.begin, **lines))
        line = until
    return pieces


def cut_parquet(job: BulkJob, folder: Path) -> list[Piece]:
    """The pieces of a Parquet file: its row groups, small ones together. Raises DropError as its reader does."""
    from millrace.files.parquet import footer_of

    metadata = footer_of(fetch_groups(job, folder / "footer", ()), job.table, job.limits)
    extents = [_extent(metadata.row_group(number), job.plan.size) for number in range(metadata.num_row_groups)]
    groups = packed(range(len(extents)), (lambda group: extents[group][1] - extents[group][0], job.plan.range_bytes))
    return [Piece(number=number, form="parquet", groups=tuple(some)) for number, some in enumerate(groups)]


def fetch_groups(job: BulkJob, path: Path, groups: Sequence[int]) -> Path:
    """A file at `path` with the drop's footer and the bytes of these row groups, each in its place."""
    import pyarrow.parquet as pq

    size, stream = job.plan.size, job.stream()
    stream.seek(max(0, size - FOOTER_BYTES))
    length = min(int.from_bytes(stream.read(4), "little"), MOST_FOOTER_BYTES)
    footer = max(0, size - FOOTER_BYTES - length), size
    stream.fetch(path, footer)
    if groups:
        metadata = pq.read_metadata(path)  # it was checked when the drop was cut
        stream.fetch(path, (0, 4), footer, *(_extent(metadata.row_group(group), size) for group in groups))
    return path


def _extent(group: Any, size: int) -> tuple[int, int]:
    """Where the bytes of a row group begin and end, within the file."""
    columns = [group.column(place) for place in range(group.num_columns)]
    starts = [
        min(filter(None, (column.data_page_offset, column.dictionary_page_offset)), default=0) for column in columns
    ]
    ends = [start + column.total_compressed_size for start, column in zip(starts, columns, strict=True)]
    return max(0, min(starts, default=0)), min(size, max(ends, default=0))
