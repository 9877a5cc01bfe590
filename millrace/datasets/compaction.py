"""Writes many small data files of a table as few larger ones: drops look at each file, and trainings open each.

Rows keep their order within a file. A new file has the rows of its former files in the order of their commits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from millrace.datasets.changes import Attempt, Change, change
from millrace.datasets.notes import COMPACTED
from millrace.datasets.tables import Lake, NewDataFile, rows_of
from millrace.errors import SnapshotError
from millrace.packing import packed

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table as IcebergTable

SMALL_BYTES, SMALL_ROWS = 8 * 2**20, 500_000
"""A data file below both is small and written anew; pyiceberg reads a file whole into memory."""
FEWEST = 50
"""The fewest small files that are compacted; fewer stay as they are."""
FILE_BYTES = 64 * 2**20
"""The most bytes of the small files that become one: to take a row out of it, the whole file is read into memory."""
FILE_ROWS = 1_000_000
"""The most rows of a new file, since few bytes may hold very many rows."""
MOST_BYTES, MOST_FILES = 2**30, 5_000
"""The most bytes and the most small files of one call."""
GROUP_BYTES = 64 * 2**20
"""A row group is written as soon as its rows take this many bytes in memory."""


@dataclass(frozen=True, kw_only=True)
class Compacted:
    """One new data file with the rows of several former ones."""

    former: Sequence[DataFile]
    file: DataFile


def compact(lake: Lake, table: str) -> int:
    """The number of small data files that are gone. Their rows are in larger files, by one commit.

    Raises ConflictError if other writers win every time, SnapshotError for a table with delete files."""
    iceberg = lake.find(table)
    small = _small(iceberg) if iceberg is not None else []
    if iceberg is None or len(small) < FEWEST:
        return 0
    # The new files are written once. If another writer wins, only the commit is tried again.
    with TemporaryDirectory() as folder:
        done = [_write(iceberg, group, Path(folder, "rows.parquet")) for group in grouped(small) if len(group) > 1]

    def replace(attempt: Attempt) -> int:
        # A file may have left meanwhile, by a withdrawal or a later version of its drop. Then its group stays as it is.
        there = {file.file_path for _, file in _data_files(attempt.table)}
        kept = [each for each in done if all(file.file_path in there for file in each.former)]
        former = [file for each in kept for file in each.former]
        if former:
            notes = {COMPACTED: str(len(former))}
            attempt.apply(Change(notes=notes, remove=former, add=[each.file for each in kept]))
        return len(former)

    return change(lake, table, replace, without=0)


def grouped(files: Iterable[DataFile]) -> Iterator[list[DataFile]]:
    """The files in their order, in groups that each become one new file."""
    size, rows = attrgetter("file_size_in_bytes"), attrgetter("record_count")
    return packed(files, (size, FILE_BYTES), (rows, FILE_ROWS))


def _small(iceberg: IcebergTable) -> list[DataFile]:
    """The small files in the order of their commits, at most MOST_BYTES and MOST_FILES."""
    found: list[DataFile] = []
    size = 0
    for _, file in sorted(_data_files(iceberg), key=lambda each: each[0]):
        is_small = file.file_size_in_bytes < SMALL_BYTES and file.record_count < SMALL_ROWS
        if is_small and size + file.file_size_in_bytes <= MOST_BYTES:
            found.append(file)
            size += file.file_size_in_bytes
    return found[:MOST_FILES]


def _data_files(iceberg: IcebergTable) -> Iterator[tuple[int, DataFile]]:
    """Each data file of the current snapshot, with the sequence number of the commit that added it.

    Raises SnapshotError for a delete file, which would not be applied."""
    from pyiceberg.manifest import ManifestContent

    snapshot = iceberg.current_snapshot()
    for manifest in snapshot.manifests(iceberg.io) if snapshot is not None else []:
        if manifest.content != ManifestContent.DATA:
            raise SnapshotError(f"{manifest.manifest_path}: expected data files, found deletes")
        for entry in manifest.fetch_manifest_entry(iceberg.io, discard_deleted=True):
            yield entry.sequence_number or 0, entry.data_file


def _write(iceberg: IcebergTable, former: Sequence[DataFile], path: Path) -> Compacted:
    """A new file with all rows of the former ones, uploaded. Raises SnapshotError if it has not as many rows."""
    import pyarrow as pa

    new = NewDataFile(iceberg, path)
    # In the table's present columns, whatever columns it had when the files were written.
    names = iceberg.schema().column_names
    each = (batch for file in former for batch in rows_of(iceberg, [file], names).to_batches())
    for batches in packed(each, (attrgetter("nbytes"), GROUP_BYTES)):
        new.add(pa.Table.from_batches(batches))
    file = new.store()
    expected = sum(each.record_count for each in former)
    if file is None or file.record_count != expected:
        raise SnapshotError(f"{iceberg.name()}: expected {expected} rows in the new file, wrote {new.rows}")
    return Compacted(former=former, file=file)
