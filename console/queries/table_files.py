"""The files of an Iceberg table, read with the command's own S3 client, and whether it takes a contract's columns."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from millrace.aws.objects import read_object
from millrace.console.environment import Environment
from millrace.datasets.tables import check_types, types_of
from millrace.names import WorkloadNames

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table.metadata import TableMetadata

    from millrace.console.environment import Environment
    from millrace.contract.schema import Contract
    from millrace.names import WorkloadNames


def read_metadata(environment: Environment, names: WorkloadNames, table: str) -> TableMetadata | None:
    """The present metadata of the table `rows` or `labels`, to which the catalogue points; None before a commit."""
    from pyiceberg.table.metadata import TableMetadataUtil

    try:
        found = environment.client("glue").get_table(DatabaseName=names.platform.database, Name=names.table(table))
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityNotFoundException":
            raise
        return None
    location = found["Table"]["Parameters"]["metadata_location"]
    return TableMetadataUtil.parse_raw(read_object(environment.client("s3"), location).decode())


def data_files(
    s3: Any, metadata: TableMetadata, snapshot_id: int, *, is_deleted: bool
) -> Iterator[tuple[str, int | None]]:
    """The data files of a snapshot, each with the id of the snapshot that added it.

    With `is_deleted`, the files that its manifests list as removed, each with the id of the snapshot that removed
    it."""
    from pyiceberg.manifest import ManifestEntryStatus

    files = _manifests(s3)
    snapshot = next(one for one in metadata.snapshots if one.snapshot_id == snapshot_id)
    for manifest in snapshot.manifests(files):
        for entry in manifest.fetch_manifest_entry(files, discard_deleted=not is_deleted):
            # A manifest also lists files that were removed, with the status DELETED.
            if (entry.status == ManifestEntryStatus.DELETED) == is_deleted:
                yield entry.data_file.file_path, entry.snapshot_id


def read_rows(s3: Any, uri: str) -> pa.Table:
    """The rows of one data file."""
    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(read_object(s3, uri)))


def _manifests(s3: Any) -> Any:
    """An implementation of pyiceberg's FileIO that reads with the command's own client."""
    from pyiceberg.io import FileIO, InputFile

    class Input(InputFile):
        """One object."""

        def __len__(self) -> int:
            return len(read_object(s3, self.location))

        def exists(self) -> bool:
            return True

        def open(self, seekable: bool = True) -> Any:  # noqa: ARG002 - pyiceberg's name
            return io.BytesIO(read_object(s3, self.location))

    class Files(FileIO):
        """They are read, never written."""

        def new_input(self, location: str) -> InputFile:
            return Input(location)

        def new_output(self, location: str) -> Any:
            raise NotImplementedError(location)

        def delete(self, location: Any) -> None:
            raise NotImplementedError(location)

    return Files()


def check_tables(environment: Environment, names: WorkloadNames, contract: Contract) -> None:
    """Raise WorkloadError if a drop under this contract would fail because its table has a column with another type."""
    for table in (contract.rows, contract.labels):
        metadata = read_metadata(environment, names, table.name)
        if metadata is not None:
            check_types(types_of(metadata.schema()), table, where=f"{names.workload}/contract.yaml, {table.name}")
