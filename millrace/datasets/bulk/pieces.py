"""Cuts a drop into pieces of whole records, and reads one of them, whatever they hold: quotes, line ends in cells.

A text is read once from its beginning, since only who has read all before knows where a record begins. A piece of it
is then a small file for the format's own reader: one line, the records of the piece, and behind them as many bytes as
may say how the last of them ends. Lines that are not the piece's are left out of what was read."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.table import StaticTable

from millrace.aws.objects import key_of_version, split_uri
from millrace.contract.future import up_to
from millrace.contract.load import contract_of
from millrace.contract.schema import LINE, Contract, Table
from millrace.datasets.iceberg import s3_client, upload
from millrace.datasets.quarantine import QuarantineFile
from millrace.datasets.tables import table_at
from millrace.errors import DropError
from millrace.files import csv, parquet
from millrace.files.catalogue import FORMATS, format_at, packing_at, read_drop
from millrace.files.lines import BOM, ByteStream, blocks_of, ended_lines_of
from millrace.files.origin import Origin, fill_generated
from millrace.files.parsed import Limits, Parsed, read_version
from millrace.messages.bulk import BulkPlan
from millrace.packing import packed

Each = Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]
"""Runs a task for each of the items, as Spark does. Returns the answers in the order of the items."""
CALL_BYTES = 16 * 2**20
"""The bytes of the drop that are fetched by one call."""
LIMITS = Limits(file_bytes=64 * 2**30, rows=2**40, block_bytes=CALL_BYTES)
"""Of what a task reads: a packed file has fewer bytes, unpacked on its disk."""
ANY_LINE = b"0\n"
"""Stands before a piece of a text without names, so that its first line is not taken for the first of the drop."""
FOOTER_BYTES = 8
"""The bytes at the end of a Parquet file: the length of its metadata in four bytes, then PAR1."""
MOST_FOOTER_BYTES = 2**29
"""The most bytes of a Parquet file's metadata that are fetched, whatever the file says of their number."""


@dataclass(frozen=True)
class BulkJob:
    """A plan with all that follows from it."""

    plan: BulkPlan

    @cached_property
    def table(self) -> Table:
        """The table by which the drop is parsed."""
        return self._contract.table("training")

    @cached_property
    def judged(self) -> Table:
        """The table by which its rows are judged, with the bounds of this drop."""
        read = self._contract.read_by_models(self.plan.read_by_models)
        return up_to(read.table("training"), self.plan, arrived=self.plan.as_of)

    @cached_property
    def _contract(self) -> Contract:
        return contract_of(json.loads(self.plan.contract), where="contract.yaml")

    @property
    def iceberg(self) -> StaticTable:
        """The table as it was for the plan."""
        return table_at(self.plan.metadata_location)

    @property
    def snapshot_id(self) -> int:
        """The snapshot that the rows are judged against; 0 for a table without one."""
        snapshot = self.iceberg.current_snapshot()
        return snapshot.snapshot_id if snapshot else 0

    def read(self, start: int, end: int) -> bytes:
        """These bytes of the drop, fewer at its end. Raises DropError `missing` if it has been deleted meanwhile."""
        if (end := min(end, self.plan.size)) <= start:
            return b""
        bucket, version = split_uri(self.plan.source)[0], self.plan.source.rpartition("?versionId=")[2]
        part = {"Bucket": bucket, "Key": key_of_version(self.plan.source), "VersionId": version}
        answer = read_version(s3_client(), self.plan.source, Range=f"bytes={start}-{end - 1}", **part)
        return bytes(answer["Body"].read())

    def fetch(self, file: IO[bytes], start: int, end: int) -> None:
        """Write these bytes of the drop where the file is."""
        while content := self.read(start, min(end, start + CALL_BYTES)):
            start += file.write(content)

    def quarantine(self, path: Path) -> QuarantineFile:
        return QuarantineFile(path, drop_id=self.plan.drop_id, source=self.plan.source, as_of=self.plan.as_of)

    def put(self, path: Path, name: str) -> None:
        """Upload the file to staging."""
        upload(path, self.plan.staging + name)

    def get(self, name: str, path: Path) -> Path:
        """Download the file from staging."""
        s3_client().download_file(*split_uri(self.plan.staging + name), str(path))
        return path

    def put_array(self, rows: npt.NDArray[Any], name: str) -> None:
        """Upload the cells of the array to staging."""
        with TemporaryDirectory() as folder:
            rows.tofile(Path(folder, "rows"))
            self.put(Path(folder, "rows"), name)

    def read_staged(self, name: str, start: int, end: int) -> bytes:
        """These bytes of a file in staging."""
        if start == end:
            return b""
        bucket, key = split_uri(self.plan.staging + name)
        content: bytes = s3_client().get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{end - 1}")["Body"].read()
        return content


@lru_cache(maxsize=2)
def job_of(plan: BulkPlan) -> BulkJob:
    """The job of the plan; a process reads the table's metadata once."""
    return BulkJob(plan)


class DropStream:
    """The drop from its beginning on, with the digest of what was read."""

    def __init__(self, job: BulkJob) -> None:
        self._job, self._place, self._digest = job, 0, hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        content = self._job.read(self._place, self._place + size)
        self._place += len(content)
        self._digest.update(content)
        return content

    def tell(self) -> int:
        return self._place

    def digest(self) -> str:
        """SHA-256 of the whole drop: what is left of it is read."""
        while self.read(CALL_BYTES):
            pass
        return self._digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Whole records of a drop, next to each other."""

    number: int
    form: str = ""
    """A key of `FORMATS`; empty for a file that is read whole, as a packed one."""
    begin: int = 0
    end: int = 0
    """The place behind its last byte and those that may tell how its last record ends."""
    line: int = 1
    """The number of its first line."""
    until: int = sys.maxsize
    """The number of the line behind its last one."""
    head: bytes = b""
    """The line that stands before it: that of names of a CSV file."""
    groups: tuple[int, ...] = ()
    """The row groups of a Parquet file."""


def cut(job: BulkJob, stream: DropStream) -> list[Piece]:
    """The pieces of the drop. Raises DropError as `read_drop` does."""
    form = "" if packing_at(DropStream(job)) else format_at(DropStream(job), job.plan.size, job.table)
    if form == "parquet":
        return _cut_parquet(job)
    if not form or FORMATS[form].begins:
        return [Piece(number=0, end=job.plan.size)]
    mark = len(BOM) if job.read(0, len(BOM)) == BOM else 0
    limits = replace(LIMITS, block_bytes=min(LIMITS.block_bytes, job.plan.range_bytes))
    return cut_text(stream, mark, form, job.table, limits, job.plan.range_bytes)


def cut_text(file: ByteStream, mark: int, form: str, table: Table, limits: Limits, range_bytes: int) -> list[Piece]:
    """The pieces of a text with a byte order mark of so many bytes."""
    head = b"" if form == "csv" and not table.csv.columns else ANY_LINE
    begins, at, number, rest = [(0, 1)], mark, 1, b""
    with suppress(DropError):  # a line that is too long: the reader of the last piece finds it too
        for more in blocks_of(file, limits, most_lines=limits.batch_rows):
            block, skipped = rest + more, 0
            lines = ended_lines_of(block)
            if not head.strip():
                skipped = next((count for count, line in enumerate(lines, 1) if line.strip()), len(lines))
                head = lines[skipped - 1] + b"\n"
            whole = skipped + lines_of_records(lines[skipped:], table, limits) if form == "csv" else len(lines)
            rest = block.split(b"\n", whole)[-1] if whole < len(lines) else b""
            at, number = at + len(block) - len(rest), number + whole
            if at >= begins[-1][0] + range_bytes:
                begins.append((at, number))
    stop, behind = file.tell(), 2 * (limits.line_bytes + 1)
    return [
        Piece(
            number=place,
            form=form,
            begin=begin,
            end=min(after + behind, stop),
            line=line,
            until=until,
            head=head if place else b"",
        )
        for place, ((begin, line), (after, until)) in enumerate(pairwise([*begins, (stop, sys.maxsize)]))
    ]


def lines_of_records(lines: list[bytes], table: Table, limits: Limits) -> int:
    """How many lines of a CSV file, of which the first begins a record, are of records that end in them."""
    form, at = table.csv, 0
    block = csv.as_utf8(b"\n".join(lines), form)
    if not form.quote or form.quote.encode() not in block:
        return len(lines)
    lines = block.split(b"\n")
    while at < len(lines) and (span := csv.span_of(lines, at, form, limits)):
        at += span if span > 1 and csv.is_well_quoted(lines[at : at + span], form) else 1
    return at


def read(job: BulkJob, piece: Piece, digest: str) -> Iterator[Parsed]:
    """The piece in parts. Raises DropError as `read_drop` does."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "drop")
        # Drops with images are read by functions alone.
        origin = Origin(name=key_of_version(job.plan.source), at=job.plan.as_of, digest=digest, fetch=lambda *_: b"")
        if piece.groups:
            found = parquet.read(_fetch_groups(job, path, piece.groups), job.table, LIMITS, groups=piece.groups)
        else:
            with path.open("wb") as file:
                file.write(piece.head)
                job.fetch(file, piece.begin, piece.end)
            found = read_text(path, piece, job.table, LIMITS) if piece.form else read_drop(path, job.table, LIMITS)
        for part in found:
            yield replace(part, rows=fill_generated(part.rows, job.table, origin))


def read_text(path: Path, piece: Piece, table: Table, limits: Limits) -> Iterator[Parsed]:
    """The piece of a text, with the lines of the drop, before generated columns are filled."""
    for part in FORMATS[piece.form].read(path, table, limits, None):
        there = part.behind(piece.line - 1 - piece.head.count(b"\n"))
        lines = there.rows.column(LINE)
        is_own = pc.and_(pc.greater_equal(lines, piece.line), pc.less(lines, piece.until))
        refused = (row for row in there.unparsable if piece.line <= (row.line or 0) < piece.until)
        yield Parsed(rows=there.rows.filter(is_own), unparsable=tuple(refused))


def _cut_parquet(job: BulkJob) -> list[Piece]:
    """The pieces of a Parquet file: its row groups, small ones together. Raises DropError as its reader does."""
    with TemporaryDirectory() as folder:
        path = _fetch_groups(job, Path(folder, "footer"), ())
        list(parquet.read(path, job.table, LIMITS, groups=()))
        metadata = pq.read_metadata(path)
    extents = [_extent(metadata.row_group(number), job.plan.size) for number in range(metadata.num_row_groups)]
    groups = packed(range(len(extents)), (lambda group: extents[group][1] - extents[group][0], job.plan.range_bytes))
    return [Piece(number=number, form="parquet", groups=tuple(some)) for number, some in enumerate(groups)]


def _fetch_groups(job: BulkJob, path: Path, groups: Sequence[int]) -> Path:
    """A file at `path` with the drop's footer and the bytes of these row groups, each in its place.

    Between them it has holes, which take no room on the disk."""
    size = job.plan.size
    length = min(int.from_bytes(job.read(max(0, size - FOOTER_BYTES), size)[:4], "little"), MOST_FOOTER_BYTES)
    with path.open("wb") as file:
        os.truncate(file.fileno(), size)
        job.fetch(file, file.seek(max(0, size - FOOTER_BYTES - length)), size)
        file.flush()
        metadata: Any = pq.read_metadata(path) if groups else None  # it was checked when the drop was cut
        for group in groups:
            start, end = _extent(metadata.row_group(group), size)
            job.fetch(file, file.seek(start), end)
    return path


def _extent(group: Any, size: int) -> tuple[int, int]:
    """Where the bytes of a row group begin and end, within the file."""
    columns = [group.column(place) for place in range(group.num_columns)]
    starts = [
        min(filter(None, (column.data_page_offset, column.dictionary_page_offset)), default=0) for column in columns
    ]
    ends = [start + column.total_compressed_size for start, column in zip(starts, columns, strict=True)]
    return max(0, min(starts, default=0)), min(size, max(ends, default=0))
