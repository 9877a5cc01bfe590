"""The data files of a snapshot, by its manifests. https://iceberg.apache.org/spec/#manifests"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from infra.local.athena.errors import QueryError

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata

Get = Callable[[str], bytes]


def files_of(metadata: TableMetadata, snapshot_id: int | None, get: Get) -> Iterator[str]:
    """The URI of each Parquet file of the snapshot; none for a table without one.

    Raises QueryError for a snapshot that the table has not, NotImplementedError for files of deletes."""
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
    """What pyiceberg reads manifests by: objects that the query's caller may read."""
    from pyiceberg.io import FileIO, InputFile

    class Input(InputFile):
        """One object, in memory."""

        def __len__(self) -> int:
            return len(get(self.location))

        def exists(self) -> bool:
            return True

        def open(self, seekable: bool = True) -> Any:  # noqa: ARG002 - pyiceberg's name
            return io.BytesIO(get(self.location))

    class Files(FileIO):
        """Reads only."""

        def new_input(self, location: str) -> InputFile:
            return Input(location)

        def new_output(self, location: str) -> Any:
            raise NotImplementedError(f"athena: a query writes no table, got {location}")

        def delete(self, location: Any) -> None:
            raise NotImplementedError(f"athena: a query deletes nothing, got {location}")

    return Files()
