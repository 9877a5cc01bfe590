"""Files of runs and of tables in S3. One that is missing or not allowed is told in its place, and the rest is shown."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from botocore.exceptions import ClientError

from millrace.artefact.artefact import ARCHIVE, Artefact, read_archive
from millrace.aws.errors import has_code, passed_over
from millrace.aws.objects import is_gone, read_object, split_uri
from millrace.console.environment import Environment
from millrace.datasets.tables import ICEBERG_TYPES, ColumnChange, changes_of, rows_of, types_in
from millrace.names import WorkloadNames

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.metadata import TableMetadata

    from millrace.contract.schema import Contract


def find_object(client: Any, uri: str) -> bytes | None:
    """The bytes of the object, or of its version that the URI names; None if there is none. `client` is boto3's."""
    with passed_over(is_gone):
        return cast("bytes", client.get_object(**object_of(uri))["Body"].read())
    return None


def object_of(uri: str) -> dict[str, str]:
    """The URI's bucket, key and version id, if it has one, as arguments for a call to S3."""
    plain, mark, version = uri.rpartition("?versionId=")
    bucket, key = split_uri(plain if mark else uri)
    return {"Bucket": bucket, "Key": key, **({"VersionId": version} if mark else {})}


def head_object(client: Any, uri: str) -> Mapping[str, Any] | None:
    """What S3 says of the object, or of its version that the URI names; None if there is no such object."""
    # HEAD has no body, so S3 answers a wrong version id or a deleted version by the status alone.
    with passed_over(has_code("404", "NoSuchKey", "NoSuchVersion", "405", "400")):
        return cast("Mapping[str, Any]", client.head_object(**object_of(uri)))
    return None


def manifest_uris(content: bytes) -> list[str]:
    """The URIs in a manifest, which is `[{"prefix": "s3://<bucket>/…"}, "path", "path", …]`."""
    first, *paths = json.loads(content)
    return [f"{first['prefix']}{path}" for path in paths]


@contextmanager
def as_file(content: bytes, name: str) -> Iterator[Path]:
    """A temporary file with this name and content, for readers that take a path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        yield path


def unpack(content: bytes) -> Artefact:
    """The artefact of a model.tar.gz in memory. Raises ArtefactError if a member does not match its digest."""
    with as_file(content, ARCHIVE) as path:
        return read_archive(path)


DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "403"}
"""How the services call a refusal by IAM; SNS says `AuthorizationError`, a `HEAD` of S3 has the status alone."""
PartT = TypeVar("PartT")
TableChange = tuple[str, ColumnChange, int | None]
"""The table, the change of a column, and its field id in the table."""


@dataclass(frozen=True, kw_only=True)
class Unread:
    """A part that could not be read."""

    why: str
    """In the service's words, which name person, action and resource."""
    is_denied: bool = False
    """Whether IAM refused it."""

    @property
    def words(self) -> str:
        return f"{'not allowed' if self.is_denied else 'cannot be read'}: {self.why}"


def part(read: Callable[[], PartT], failures: tuple[type[Exception], ...] = (ClientError,)) -> PartT | Unread:
    """What `read` returns, or that a service answered it with an error; or which of the `failures` it raised."""
    try:
        return read()
    except failures as error:
        return unread(error)


def part_in_words(found: Any, words: Callable[[Any], Any], nothing: Any = "") -> Any:
    """What `words` makes of a part, `nothing` of an empty one; of one that could not be read, why."""
    return found.words if isinstance(found, Unread) else words(found) if found else nothing


def unread(error: Exception) -> Unread:
    """The error as a part that could not be read."""
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    return Unread(why=str(error), is_denied=code in DENIED)


def read_metadata(environment: Environment, names: WorkloadNames, table: str) -> TableMetadata | None:
    """The present metadata of the table `rows` or `labels`, to which the catalogue points; None before a commit."""
    found = iceberg_table(environment, names, table)
    return found.metadata if found else None


def iceberg_table(environment: Environment, names: WorkloadNames, table: str) -> IcebergTable | None:
    """The table `rows` or `labels`, to be read with the command's own client; None before a commit."""
    glue = environment.client("glue")
    try:
        found = glue.get_table(DatabaseName=names.platform.database, Name=names.table(table))
    except glue.exceptions.EntityNotFoundException:
        return None
    return table_of(environment.client("s3"), names.table(table), found["Table"]["Parameters"]["metadata_location"])


def table_of(s3: Any, name: str, location: str) -> IcebergTable:
    """The table as this file of metadata says."""
    from pyiceberg.catalog.noop import NoopCatalog
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadataUtil

    metadata = TableMetadataUtil.parse_raw(read_object(s3, location).decode())
    return Table((name,), metadata, location, _objects(s3), NoopCatalog(""))


def changed_rows(iceberg: IcebergTable, before: int | None, after: int | None) -> tuple[pa.Table, pa.Table]:
    """The rows of the files that left the table between two snapshots, and those of the files that came."""
    one, other = (_data_files(iceberg, each) for each in (before, after))
    names = [field.name for field in iceberg.schema().fields]
    left, came = ([these[uri] for uri in these.keys() - those] for these, those in ((one, other), (other, one)))
    return rows_of(iceberg, left, names), rows_of(iceberg, came, names)


def _data_files(iceberg: IcebergTable, snapshot_id: int | None) -> dict[str, DataFile]:
    """The data files of a snapshot by URI; none for None."""
    snapshot = iceberg.snapshot_by_id(snapshot_id) if snapshot_id else None
    entries = (
        entry
        for manifest in (snapshot.manifests(iceberg.io) if snapshot else ())
        for entry in manifest.fetch_manifest_entry(iceberg.io, discard_deleted=True)
    )
    return {entry.data_file.file_path: entry.data_file for entry in entries}


def _objects(s3: Any) -> Any:
    """An implementation of pyiceberg's FileIO that reads with the command's own client."""
    from millrace.datasets.iceberg import Input, S3FileIO

    class Object(Input):
        def open(self, seekable: bool = True) -> Any:  # noqa: ARG002 - pyiceberg's name
            return io.BytesIO(read_object(s3, self.location))

    files = S3FileIO()
    files.new_input = lambda location: Object(location, files)  # type: ignore[method-assign]
    return files


def changes_of_tables(environment: Environment, names: WorkloadNames, contract: Contract) -> Iterator[TableChange]:
    """What differs from the tables; nothing of a table that the first drop will make."""
    for table in (contract.rows, contract.labels):
        if found := iceberg_table(environment, names, table.name):
            ids = {field.name: field.field_id for field in found.schema().fields}
            for one in changes_of(types_in(found), table):
                yield table.name, one, ids.get(one.before if one.change == "renamed" else one.name)


def changes_of_contract(before: Contract, after: Contract) -> Iterator[TableChange]:
    """What differs from the tables that the contract before would have made. They have no field ids."""
    for old, new in ((before.rows, after.rows), (before.labels, after.labels)):
        for one in changes_of({each.name: ICEBERG_TYPES[each.kind] for each in old.columns}, new):
            yield new.name, one, None
