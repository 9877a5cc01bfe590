"""Makes pyiceberg need fewer calls of S3 and fewer copies of a table's metadata.

The files of a table are read and written by plain calls of S3: one to write a file, one to read a small file. A commit
is some ten small files. pyiceberg's own way, through Arrow, takes three calls to write (an upload in parts) and two to
read, and it gives up on an answer that takes longer than three seconds. Files of metadata never change, so a process
that has read or written one keeps it in memory.

Transactions are for tables that thousands of small drops come into: they take short cuts where pyiceberg would look at
every manifest and at every snapshot for each drop. So does `may_hold`: a scan decodes the entries of all manifests. The
bounds that these name for each data file never change, so a process keeps them:

    manifest   lows               highs
    m0.avro    [05-01, 05-08]     [05-07, 05-14]
    m1.avro    [05-20]            [05-26]             05-15 to 05-19: no file, so no scan"""

from __future__ import annotations

import io
from datetime import datetime
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from cachetools import LRUCache, cached
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.conversions import from_bytes
from pyiceberg.expressions.literals import literal
from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile, OutputStream
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import Transaction
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    SetPropertiesUpdate,
    SetSnapshotRefUpdate,
    TableUpdate,
    update_table_metadata,
)
from pyiceberg.types import NestedField, PrimitiveType, TimestampType, TimestamptzType

from millrace.aws.objects import split_uri
from millrace.timestamps import EPOCH, MICROSECOND

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata

WHOLE_BYTES = 8 * 2**20
"""The bytes of the largest file that is read whole by one call; of a larger one Arrow reads the parts that it needs."""
KEPT_BYTES, LONGEST_KEPT_BYTES = 16 * 2**20, 2**20
"""The bytes of metadata that a process keeps in memory, and of the largest file that it keeps: a table of a thousand
snapshots has a metadata file of about 1 MB."""
PLAIN_UPDATES = (AddSnapshotUpdate, SetSnapshotRefUpdate, SetPropertiesUpdate)
"""The updates that concern no snapshot before the last one."""
KEPT_FILES = 2**20
"""The data files whose bounds a process keeps, 16 bytes each: 16 MiB."""
LOWEST, HIGHEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
"""The bounds of a file whose manifest names none."""


_LOCK = Lock()


@cache
def s3_client() -> Any:
    """boto3's client. Several tasks may begin at once in one process, where boto3 makes one client at a time."""
    import boto3

    with _LOCK:
        return boto3.client("s3")


class KeptFiles:
    """The bytes of files of metadata, by location: the file that was used longest ago is dropped. Safe for threads."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._files: LRUCache[str, bytes] = LRUCache(most_bytes, getsizeof=len)
        self._lock = Lock()

    def get(self, location: str) -> bytes | None:
        with self._lock:
            return self._files.get(location)

    def keep(self, location: str, content: bytes) -> None:
        """Keep it if it is a small file of metadata. Data files have rows, which may be withdrawn: none is kept."""
        if "/metadata/" in location and len(content) <= LONGEST_KEPT_BYTES:
            with self._lock:
                self._files[location] = content

    def forget(self, location: str) -> None:
        with self._lock:
            self._files.pop(location, None)


@cache
def _kept() -> KeptFiles:
    return KeptFiles()


def upload(path: Path, location: str) -> None:
    """Store the file at `path` as the object `location`, in parts if it is large."""
    bucket, key = split_uri(location)
    s3_client().upload_file(str(path), bucket, key)


class Catalog(GlueCatalog):
    """The Glue catalogue of a database of our own templates."""

    def _is_s3tables_database(self, database_name: str) -> bool:  # noqa: ARG002 - pyiceberg's signature
        """False, without a call for each commit: tables in S3 Tables are none of ours."""
        return False


class S3FileIO(FileIO):
    """Reads and writes objects in the buckets of one account, with the credentials of the process."""

    def new_input(self, location: str) -> InputFile:
        return Input(location, self)

    def new_output(self, location: str) -> OutputFile:
        return Output(location, self)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Delete one file. A file that is not there is no error."""
        uri = location if isinstance(location, str) else location.location
        bucket, key = split_uri(uri)
        _kept().forget(uri)
        s3_client().delete_object(Bucket=bucket, Key=key)

    def arrow(self) -> FileIO:
        """Arrow's reader, for large files."""
        from pyiceberg.io.pyarrow import PyArrowFileIO

        return PyArrowFileIO({name: value for name, value in self.properties.items() if name.startswith("s3.")})


class Input(InputFile):
    """An object to read."""

    def __init__(self, location: str, files: S3FileIO) -> None:
        super().__init__(location)
        self._files = files

    def __len__(self) -> int:
        bucket, key = split_uri(self.location)
        return int(s3_client().head_object(Bucket=bucket, Key=key)["ContentLength"])

    def exists(self) -> bool:
        raise NotImplementedError("Iceberg's files have names of their own: nobody asks whether one exists")

    def open(self, seekable: bool = True) -> InputStream:  # noqa: ARG002 - pyiceberg's signature
        """A stream of its bytes. Raises FileNotFoundError if there is no such object."""
        if (kept := _kept().get(self.location)) is not None:
            return io.BytesIO(kept)
        bucket, key = split_uri(self.location)
        client = s3_client()
        # One call brings the first 8 MiB and says how large the file is: manifests and metadata are smaller. Of a
        # larger file this beginning is thrown away, and Arrow fetches the parts that it needs.
        try:
            answer = client.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{WHOLE_BYTES - 1}")
        except client.exceptions.NoSuchKey:
            raise FileNotFoundError(f"expected {self.location}, found nothing") from None
        if int(answer["ContentRange"].rpartition("/")[2]) > WHOLE_BYTES:
            answer["Body"].close()
            return self._files.arrow().new_input(self.location).open()
        content = answer["Body"].read()
        _kept().keep(self.location, content)
        return io.BytesIO(content)


class Output(OutputFile):
    """An object to write. It is there when the stream is closed, whole or not at all."""

    def __init__(self, location: str, files: S3FileIO) -> None:
        super().__init__(location)
        self._files = files
        self.written = 0

    def __len__(self) -> int:
        return self.written

    def exists(self) -> bool:
        """False, without a call: every file has a UUID in its name. A call would need the right to list the bucket."""
        return False

    def to_input_file(self) -> InputFile:
        return Input(self.location, self._files)

    def create(self, overwrite: bool = False) -> OutputStream:
        """A stream to write to. `overwrite` makes no difference, since the name is new."""
        del overwrite
        return _Upload(self)


class _Upload(io.BytesIO):
    """Collects the bytes and uploads them at the end, unless the block that wrote them has failed."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            super().close()

    # pyiceberg closes its streams with or without a `with` block, so `close` is what uploads.
    def close(self) -> None:
        if not self.closed:
            bucket, key = split_uri(self._output.location)
            content = self.getvalue()
            s3_client().put_object(Bucket=bucket, Key=key, Body=content)
            _kept().keep(self._output.location, content)
            self._output.written = len(content)
        super().close()


class DropsTransaction(Transaction):
    """A transaction that computes its metadata once for each change, without a look at former snapshots.

    pyiceberg computes the metadata each time it is read, some 16 times for a snapshot, and copies all snapshots of the
    table each time."""

    def __init__(self, table: IcebergTable) -> None:
        super().__init__(table)
        self._known: tuple[tuple[TableUpdate, ...], TableMetadata] = (), table.metadata

    @property
    def table_metadata(self) -> TableMetadata:
        # As long as updates are only added, the known metadata is taken, and the new updates alone are applied to it.
        # Updates of other kinds go pyiceberg's own way.
        before, metadata = self._known
        if self._updates is not before:
            is_longer = self._updates[: len(before)] == before
            new = self._updates[len(before) :] if is_longer else ()
            is_plain = is_longer and all(isinstance(one, PLAIN_UPDATES) for one in new)
            self._known = self._updates, _later(metadata, new) if is_plain else super().table_metadata
        return self._known[1]


def _later(metadata: TableMetadata, updates: tuple[TableUpdate, ...]) -> TableMetadata:
    """The metadata after these updates. Each adds a snapshot, names one that was added, or sets properties.

    Snapshots before the last one take no part in such updates. pyiceberg's models are frozen, so they are shared and
    not copied."""
    # The updates are applied to metadata with the last snapshot alone. The new snapshots then go behind all others.
    snapshots, log = metadata.snapshots, metadata.snapshot_log
    short = metadata.model_copy(update={"snapshots": snapshots[-1:], "snapshot_log": log[-1:]})
    done = update_table_metadata(short, updates)
    new = done.snapshots[len(short.snapshots) :], done.snapshot_log[len(short.snapshot_log) :]
    return done.model_copy(update={"snapshots": [*snapshots, *new[0]], "snapshot_log": [*log, *new[1]]})


def may_hold(iceberg: IcebergTable, column: str, low: Any, high: Any) -> bool:
    """Whether a data file of the current snapshot may have a value from `low` to `high` in the column.

    The column and its bounds are whole numbers, dates or times; times and dates are given in ISO 8601."""
    snapshot, field = iceberg.current_snapshot(), iceberg.schema().find_field(column)
    if snapshot is None:
        return False
    first, last = (literal(bound).to(field.field_type).value for bound in (low, high))
    for manifest in snapshot.manifests(iceberg.io):
        lows, highs = _bounds(iceberg, manifest, field)
        if bool(np.any((lows <= last) & (highs >= first))):
            return True
    return False


def newest(table: IcebergTable, column: str) -> datetime | None:
    """The newest time in the column by its bounds, in UTC; a time without a zone is taken for UTC. No row is read.

    None if no row has a time, or if the table has no such column of times."""
    if column not in table.schema().column_names:
        return None
    field = table.schema().find_field(column)
    if not isinstance(field.field_type, TimestampType | TimestamptzType):
        return None
    # The bound of a time is a number of microseconds since 1970.
    snapshot = table.current_snapshot()
    bounds = (_bounds(table, manifest, field)[1] for manifest in (snapshot.manifests(table.io) if snapshot else ()))
    known = [int(high) for highs in bounds for high in highs if high != HIGHEST]
    return EPOCH + max(known) * MICROSECOND if known else None


def _key(_: IcebergTable, manifest: ManifestFile, field: NestedField) -> tuple[str, int]:
    return manifest.manifest_path, field.field_id


@cached(LRUCache(KEPT_FILES, getsizeof=lambda bounds: max(1, len(bounds[0]))), key=_key, lock=Lock())
def _bounds(iceberg: IcebergTable, manifest: ManifestFile, field: NestedField) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest value of the column in each data file of the manifest, as Iceberg's whole numbers."""
    kind, column = field.field_type, field.field_id
    assert isinstance(kind, PrimitiveType)
    files = [entry.data_file for entry in manifest.fetch_manifest_entry(iceberg.io)]
    named = [((file.lower_bounds or {}).get(column), (file.upper_bounds or {}).get(column)) for file in files]
    lows = [LOWEST if low is None else int(from_bytes(kind, low)) for low, _ in named]
    highs = [HIGHEST if high is None else int(from_bytes(kind, high)) for _, high in named]
    return np.array(lows, dtype=np.int64), np.array(highs, dtype=np.int64)
