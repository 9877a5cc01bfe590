"""Writes many small data files of a table as few larger ones: drops look at each file, and trainings open each.

Rows keep their order within a file. A new file has the rows of its former files in the order of their commits. A call
joins what fits into its time; of a table with more a job of Spark joins all at once, into larger files, and a call
commits them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pyiceberg.manifest import DataFile, ManifestContent
from pyiceberg.table import Table as IcebergTable

from millrace.aws.objects import put_object, read_object
from millrace.datasets.changes import Attempt, Change, change
from millrace.datasets.iceberg import s3_client
from millrace.datasets.notes import COMPACTED
from millrace.datasets.tables import Lake, NewDataFile, rows_of, stored_file, table_at
from millrace.errors import SnapshotError
from millrace.messages.bulk import RESULT, CompactionPlan, CompactionResult
from millrace.packing import packed

if TYPE_CHECKING:
    from millrace.datasets.bulk.pieces import Each

SMALL_BYTES, SMALL_ROWS = 8 * 2**20, 500_000
"""A data file below both is small and written anew; pyiceberg reads a file whole into memory."""
FEWEST = 50
"""The fewest small files that are compacted; fewer stay as they are."""
FILE_BYTES = 64 * 2**20
"""The most bytes of the small files that become one: to take a row out of it, the whole file is read into memory."""
FILE_ROWS = 1_000_000
"""The most rows of a new file, since few bytes may hold very many rows."""
OF_JOB = 4
"""How many times as large all of these are for a job."""
MOST_BYTES, MOST_FILES = 2**30, 5_000
"""The most bytes and the most small files of one call."""
GROUP_BYTES = 64 * 2**20
"""A row group is written as soon as its rows take this many bytes in memory."""


def compact(lake: Lake, table: str) -> int:
    """The number of small data files that are gone. Their rows are in larger files, by one commit.

    Raises ConflictError if other writers win every time, SnapshotError for a table with delete files."""
    iceberg = lake.find(table)
    small = small_files(iceberg) if iceberg is not None else []
    if iceberg is None or len(small) < FEWEST:
        return 0
    small = next(packed(small, (_SIZE, MOST_BYTES), most=MOST_FILES))
    # The new files are written once. If another writer wins, only the commit is tried again.
    with TemporaryDirectory() as folder:
        path = Path(folder, "rows.parquet")
        done = [([each.file_path for each in group], _write(iceberg, group, path)) for group in grouped(small)]
    return _replace(lake, table, done)


def commit_job(lake: Lake, s3: Any, uri: str) -> int:
    """As `compact`, of the files of rows that a job has written; its result is at the URI. `s3` is boto3's client."""
    iceberg, result = lake.open("rows"), CompactionResult.model_validate_json(read_object(s3, uri))
    return _replace(lake, "rows", [(former, stored_file(iceberg, new)) for new, former in result.files.items()])


def _replace(lake: Lake, table: str, done: Sequence[tuple[Sequence[str], DataFile]]) -> int:
    """The number of files that are gone: each new one has the rows of the former ones beside it, by their URIs."""

    def plan(attempt: Attempt) -> int:
        # A file may have left meanwhile, by a withdrawal or a later version of its drop. Then its group stays as it is.
        there = {file.file_path: file for _, file in data_files(attempt.table)}
        kept = [(paths, file) for paths, file in done if there.keys() >= set(paths)]
        former = [there[path] for paths, _ in kept for path in paths]
        if former:
            attempt.apply(Change(notes={COMPACTED: str(len(former))}, remove=former, add=[file for _, file in kept]))
        return len(former)

    return change(lake, table, plan, without=0)


_SIZE, _ROWS = attrgetter("file_size_in_bytes"), attrgetter("record_count")


def grouped(files: Iterable[DataFile], times: int = 1) -> list[list[DataFile]]:
    """The files in their order, in groups that each become one new file."""
    groups = packed(files, (_SIZE, times * FILE_BYTES), (_ROWS, times * FILE_ROWS))
    return [group for group in groups if len(group) > 1]


def small_files(iceberg: IcebergTable, times: int = 1) -> list[DataFile]:
    """The small files in the order of their commits."""
    files = (file for _, file in sorted(data_files(iceberg), key=lambda each: each[0]))
    return [file for file in files if _SIZE(file) < times * SMALL_BYTES and _ROWS(file) < times * SMALL_ROWS]


def compact_by_job(plan: CompactionPlan, each: Each) -> CompactionResult:
    """The result, which is in staging when this returns. No snapshot names the new files yet."""
    groups = grouped(small_files(table_at(plan.metadata_location), OF_JOB), OF_JOB)
    result = CompactionResult(files=dict(each(partial(_join, plan), list(enumerate(groups)))))
    put_object(s3_client(), plan.staging + RESULT, result.model_dump_json().encode())
    return result


def _join(plan: CompactionPlan, numbered: tuple[int, Sequence[DataFile]]) -> tuple[str, tuple[str, ...]]:
    """Write one of the new files. A task that is begun again writes the same one."""
    number, group = numbered
    with TemporaryDirectory() as folder:
        name = f"{plan.staging.split('/')[-2]}-{number:05d}"
        file = _write(table_at(plan.metadata_location), group, Path(folder, "rows.parquet"), name)
    return file.file_path, tuple(each.file_path for each in group)


def data_files(iceberg: IcebergTable) -> Iterator[tuple[int, DataFile]]:
    """Each data file of the current snapshot, with the sequence number of the commit that added it.

    Raises SnapshotError for a delete file, which would not be applied."""
    snapshot = iceberg.current_snapshot()
    for manifest in snapshot.manifests(iceberg.io) if snapshot is not None else []:
        if manifest.content != ManifestContent.DATA:
            raise SnapshotError(f"{manifest.manifest_path}: expected data files, found deletes")
        for entry in manifest.fetch_manifest_entry(iceberg.io, discard_deleted=True):
            yield entry.sequence_number or 0, entry.data_file


def _write(iceberg: IcebergTable, former: Sequence[DataFile], path: Path, name: str = "") -> DataFile:
    """A new file with all rows of the former ones, uploaded. Raises SnapshotError if it has not as many rows."""
    import pyarrow as pa

    new = NewDataFile(iceberg, path)
    # In the table's present columns, whatever columns it had when the files were written.
    names = iceberg.schema().column_names
    each = (batch for file in former for batch in rows_of(iceberg, [file], names).to_batches())
    for batches in packed(each, (attrgetter("nbytes"), GROUP_BYTES)):
        new.add(pa.Table.from_batches(batches))
    file = new.store(name)
    expected = sum(each.record_count for each in former)
    if file is None or file.record_count != expected:
        raise SnapshotError(f"{iceberg.name()}: expected {expected} rows in the new file, wrote {new.rows}")
    return file
