"""Many small data files become few: every later drop looks at each of them, and every training opens it.

Rows keep their order within a file; a new file has its former ones in the order of their commits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from millrace.datasets.commits import try_commit, until_won
from millrace.datasets.notes import COMPACTED
from millrace.datasets.tables import Lake, NewDataFile
from millrace.errors import SnapshotError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table as IcebergTable

SMALL_BYTES, SMALL_ROWS = 8 * 2**20, 500_000
"""A data file below both is written anew; pyiceberg reads one whole into memory."""
FEWEST = 50
"""Fewer small files stay as they are."""
FILE_BYTES = 64 * 2**20
"""The small files of a new one take no more: to take a row out of it, the whole file is read into memory."""
FILE_ROWS = 1_000_000
"""As many rows at most, since few bytes may hold very many."""
MOST_BYTES, MOST_FILES = 2**30, 5_000
"""Of small files in one call."""
GROUP_BYTES = 64 * 2**20
"""A row group in memory."""


@dataclass(frozen=True, kw_only=True)
class Compacted:
    """One data file with the rows of several."""

    former: tuple[DataFile, ...]
    file: DataFile


def compact(lake: Lake, table: str) -> int:
    """The number of small data files that are gone, their rows in larger ones; in one commit.

    Raises ConflictError when other writers win every time, SnapshotError for a table with files of deletes."""
    iceberg = lake.find(table)
    small = _small(iceberg) if iceberg is not None else []
    if iceberg is None or len(small) < FEWEST:
        return 0
    with TemporaryDirectory() as folder:
        done = [_write(iceberg, group, Path(folder, "rows.parquet")) for group in grouped(small) if len(group) > 1]

    def commit() -> int | None:
        if (iceberg := lake.find(table)) is None:
            return 0
        # A file may have left meanwhile, by a withdrawal or a later version of its drop: its group stays as it is then.
        there = {file.file_path for _, file in _data_files(iceberg)}
        kept = [each for each in done if all(file.file_path in there for file in each.former)]
        return sum(len(each.former) for each in kept) if not kept or _replace(iceberg, kept) else None

    return until_won(commit, f"{lake.names.table(table)}: expected its files to be compacted")


def grouped(files: Iterable[DataFile]) -> Iterator[tuple[DataFile, ...]]:
    """The files in turn, as many together as make a new one."""
    group: list[DataFile] = []
    size = rows = 0
    for file in files:
        if group and (size + file.file_size_in_bytes > FILE_BYTES or rows + file.record_count > FILE_ROWS):
            yield tuple(group)
            group, size, rows = [], 0, 0
        group.append(file)
        size, rows = size + file.file_size_in_bytes, rows + file.record_count
    if group:
        yield tuple(group)


def _small(iceberg: IcebergTable) -> list[DataFile]:
    """Those that came first first, MOST_BYTES and MOST_FILES at most."""
    found: list[DataFile] = []
    size = 0
    for _, file in sorted(_data_files(iceberg), key=lambda each: each[0]):
        is_small = file.file_size_in_bytes < SMALL_BYTES and file.record_count < SMALL_ROWS
        if is_small and size + file.file_size_in_bytes <= MOST_BYTES:
            found.append(file)
            size += file.file_size_in_bytes
    return found[:MOST_FILES]


def _data_files(iceberg: IcebergTable) -> Iterator[tuple[int, DataFile]]:
    """Each file of the current snapshot with the place of the commit that added it; raises SnapshotError for one of
    deletes, which would not be applied."""
    from pyiceberg.manifest import ManifestContent

    snapshot = iceberg.current_snapshot()
    for manifest in snapshot.manifests(iceberg.io) if snapshot is not None else []:
        if manifest.content != ManifestContent.DATA:
            raise SnapshotError(f"{manifest.manifest_path}: expected data files, found deletes")
        for entry in manifest.fetch_manifest_entry(iceberg.io, discard_deleted=True):
            yield entry.sequence_number or 0, entry.data_file


def _write(iceberg: IcebergTable, former: tuple[DataFile, ...], path: Path) -> Compacted:
    new = NewDataFile(iceberg, path)
    for rows in _row_groups(_batches(iceberg, former)):
        new.add(rows)
    file = new.store()
    expected = sum(each.record_count for each in former)
    if file is None or file.record_count != expected:
        raise SnapshotError(f"{iceberg.name()}: expected {expected} rows in the new file, wrote {new.rows}")
    return Compacted(former=former, file=file)


def _batches(iceberg: IcebergTable, files: Iterable[DataFile]) -> Iterator[pa.RecordBatch]:
    """Their rows in the table's present columns, whatever columns it had when they were written."""
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan
    from pyiceberg.table import FileScanTask

    scan = ArrowScan(iceberg.metadata, iceberg.io, iceberg.schema(), AlwaysTrue())
    for file in files:
        yield from scan.to_record_batches([FileScanTask(data_file=file)])


def _row_groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    import pyarrow as pa

    group, size = list[pa.RecordBatch](), 0
    for batch in batches:
        group.append(batch)
        size += batch.nbytes
        if size >= GROUP_BYTES:
            yield pa.Table.from_batches(group)
            group, size = [], 0
    if group:
        yield pa.Table.from_batches(group)


def _replace(iceberg: IcebergTable, done: list[Compacted]) -> bool:
    from millrace.datasets.iceberg import begin

    transaction = begin(iceberg)
    files = sum(len(each.former) for each in done)
    with transaction.update_snapshot(snapshot_properties={COMPACTED: str(files)}).overwrite() as overwrite:
        for each in done:
            for file in each.former:
                overwrite.delete_data_file(file)
            overwrite.append_data_file(each.file)
    return try_commit(transaction)
