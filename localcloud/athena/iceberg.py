"""Finds the data files of an Iceberg snapshot by its manifests: https://iceberg.apache.org/spec/#manifests"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from localcloud.athena.errors import QueryError

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata

Get = Callable[[str], bytes]
"""Reads the object at an `s3://` URI."""


def files_of(metadata: TableMetadata, snapshot_id: int | None, get: Get) -> Iterator[str]:
    """Yields the URI of each Parquet file of the snapshot. A table without a snapshot (`snapshot_id` None) has none.

    Raises QueryError for a snapshot that the table does not have, NotImplementedError if the table has delete files."""
    from pyiceberg.manifest import DataFileContent

    if snapshot_id is None:
        return
    snapshot = next((one for one in metadata.snapshots if one.snapshot_id == snapshot_id), None)
    if snapshot is None:
        raise QueryError(f"INVALID_ARGUMENTS: Iceberg snapshot ID does not exists: {snapshot_id}")
    files: Any = _files(get)
    for manifest in snapshot.manifests(files):
        for entry in manifest.fetch_manifest_entry(files, discard_deleted=True):
            if entry.data_file.content != DataFileContent.DATA:
                raise NotImplementedError("athena: Iceberg tables with files of deletes")
            yield entry.data_file.file_path


def _files(get: Get) -> Any:
    """The FileIO by which pyiceberg reads manifests: `get` reads what the caller of the query may read."""
    from pyiceberg.io import FileIO, InputFile

    class Input(InputFile):
        """One object, which is read into memory."""

        def __len__(self) -> int:
            return len(get(self.location))

        def exists(self) -> bool:
            return True

        def open(self, seekable: bool = True) -> Any:  # noqa: ARG002 - pyiceberg's name
            return io.BytesIO(get(self.location))

    class Files(FileIO):
        """Only reads objects."""

        def new_input(self, location: str) -> InputFile:
            return Input(location)

        def new_output(self, location: str) -> Any:
            raise NotImplementedError(f"athena: a query writes no table, got {location}")

        def delete(self, location: Any) -> None:
            raise NotImplementedError(f"athena: a query deletes nothing, got {location}")

    return Files()
