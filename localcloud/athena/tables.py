"""Reads tables of the catalogue into Arrow: Iceberg by its metadata, others by location, serde and projection.

Everything is read by the clients of the query's caller. So a query fails that reads what the caller's role may not."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import ClientError
from pyiceberg.io import FileIO, InputFile
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFileContent
from pyiceberg.table.metadata import TableMetadata, TableMetadataUtil
from sqlglot import exp

from localcloud.athena.errors import QueryError, denied
from localcloud.athena.kinds import arrow_type
from localcloud.athena.partitions import StoredFile, check_injected, conditions_on, partition_of, pruned

# Reads rows of JSON lines as the OpenX SerDe does: names without regard to case, and any value as text if need be.
#
# https://docs.aws.amazon.com/athena/latest/ug/openx-json-serde.html


def read_lines(content: bytes, schema: pa.Schema) -> pa.Table:
    """A table with a row for each line that is not empty. Raises QueryError for a line that is no JSON object.

    A column is null if the line lacks it, or if its value cannot be read as the column's type. Of the line
    `{"Value": "7", "Score": "high"}` the column `value string` is `7`, and `score double` is null."""
    documents = [_document(line) for line in content.splitlines() if line.strip()]
    cells = {
        field.name: pa.array([_cell(document.get(field.name), field.type) for document in documents], field.type)
        for field in schema
    }
    return pa.table(cells) if cells else _only_rows(len(documents))


def _document(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise QueryError(f"HIVE_CURSOR_ERROR: Row is not a valid JSON Object - JSONException: {error}") from None
    if not isinstance(found, dict):
        raise QueryError("HIVE_CURSOR_ERROR: Row is not a valid JSON Object")
    return _lowered(found)


def _lowered(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in document.items()}


def _cell(value: Any, kind: pa.DataType) -> Any:
    """The value as Arrow takes it for the type; None if it cannot be read as that type."""
    types = pa.types
    if value is None:
        return None
    if types.is_struct(kind):
        known = _lowered(value) if isinstance(value, dict) else {}
        return {field.name: _cell(known.get(field.name), field.type) for field in kind} if known else None
    if types.is_map(kind):
        pairs = value.items() if isinstance(value, dict) else ()
        return [(name, _cell(one, kind.item_type)) for name, one in pairs]
    if types.is_list(kind):
        return [_cell(one, kind.value_type) for one in value] if isinstance(value, list) else None
    if types.is_string(kind):
        return value if isinstance(value, str) else json.dumps(value)
    try:
        return pa.scalar(value).cast(kind).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return None


# Finds the data files of an Iceberg snapshot by its manifests: https://iceberg.apache.org/spec/#manifests

Get = Callable[[str], bytes]
"""Reads the object at an `s3://` URI."""


def files_of(metadata: TableMetadata, snapshot_id: int | None, get: Get) -> Iterator[str]:
    """Yields the URI of each Parquet file of the snapshot. A table without a snapshot (`snapshot_id` None) has none.

    Raises QueryError for a snapshot that the table does not have, NotImplementedError if the table has delete files."""
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


FIELD_ID = b"PARQUET:field_id"
JSON_SERDE = "org.openx.data.jsonserde.JsonSerDe"
PATH = "$path"
"""The hidden column with the URI of a row's file."""
PARQUET_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"


@dataclass(frozen=True, kw_only=True)
class TableReader:
    """Reads the tables of one query."""

    glue: Any
    s3: Any
    database: Any
    """A connection of duckdb, which judges the conditions on partitions."""
    now: datetime
    """What NOW means in the range of a projected date."""

    def find(self, schema: str, name: str) -> dict[str, Any]:
        """The table's entry in the catalogue. Raises QueryError if there is none, or if the caller may not see it."""
        try:
            found: dict[str, Any] = self.glue.get_table(DatabaseName=schema, Name=name)["Table"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "EntityNotFoundException":
                raise denied(f"{schema}.{name}", error) from None
            raise QueryError(f"TABLE_NOT_FOUND: Table 'awsdatacatalog.{schema}.{name}' does not exist") from None
        return found

    def read(
        self, node: exp.Table, schema: str, names: frozenset[str] | None, *, paths: bool = False
    ) -> tuple[pa.Table, int]:
        """All rows with the columns of these names, and the bytes that Athena would read for them.

        `names` None means all columns. `paths` says whether the query reads PATH, which external tables have here.
        Raises QueryError if the table cannot be read, or has no version that the query asks for; NotImplementedError
        for a serde, a projection or files that are not covered."""
        table = self.find(schema, node.name.lower())
        if table.get("Parameters", {}).get("table_type", "").upper() == "ICEBERG":
            return self._iceberg(table, _version(node), names)
        if node.args.get("version"):
            raise QueryError(f"INVALID_TABLE_PROPERTY: {node.name} has no versions: it is no Iceberg table")
        return self._external(table, node, names, paths=paths)

    def _iceberg(
        self, table: Mapping[str, Any], version: Callable[[Any], int | None], names: frozenset[str] | None
    ) -> tuple[pa.Table, int]:
        # The columns are those of the present schema. Data files are read by field id, as old files may have old names.
        content = self._get(table["Parameters"]["metadata_location"])
        metadata = TableMetadataUtil.parse_raw(content.decode())
        fields = [field for field in metadata.schema().fields if names is None or field.name.lower() in names]
        arrow = schema_to_pyarrow(metadata.schema(), include_field_ids=False)
        types = {field.field_id: arrow.field(field.name) for field in fields}
        # The first part has no rows: it keeps the columns of a table without files.
        parts, size = [arrow.empty_table().select([field.name for field in fields])], 0
        for uri in files_of(metadata, version(metadata), self._get):
            part, read = _from_parquet(self._get(uri), types, _field_id)
            parts.append(part)
            size += read
        return _joined(parts), size

    def _external(
        self, table: Mapping[str, Any], node: exp.Table, names: frozenset[str] | None, *, paths: bool
    ) -> tuple[pa.Table, int]:
        # The columns of partitions (`keys`) are in no file: they come from the object's key. Conditions on them alone
        # leave out files before they are read.
        keys = [column["Name"] for column in table.get("PartitionKeys", ())]
        conditions = conditions_on(node, keys)
        check_injected(conditions, table.get("Parameters", {}), keys)
        declared = table["StorageDescriptor"]["Columns"]
        wanted = [column for column in declared if names is None or column["Name"].lower() in names]
        schema = pa.schema([(column["Name"], arrow_type(column["Type"])) for column in wanted])
        shown = [key for key in keys if names is None or key.lower() in names] + [PATH] * paths
        whole = pa.schema([*schema, *((key, pa.string()) for key in shown)])
        parts, size = [whole.empty_table()], 0
        bucket, files = self._files(table, keys)
        read_file = _reader(table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"])
        for file in pruned(files, conditions, keys, self.database):
            part, read = read_file(self._get(f"s3://{bucket}/{file.key}"), schema)
            # Each row gets the values of its file's partition.
            values = {**file.partition, PATH: f"s3://{bucket}/{file.key}"}
            for key in shown:
                part = part.append_column(key, pa.repeat(pa.scalar(values[key]), part.num_rows))
            parts.append(part)
            size += read
        return _joined(parts), size

    def _files(self, table: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, list[StoredFile]]:
        """The bucket of the table, and its files in the partitions that it projects."""
        parameters = table.get("Parameters", {})
        if keys and parameters.get("projection.enabled") != "true":
            raise NotImplementedError("athena: partitions that are registered in the catalogue")
        template = parameters.get("storage.location.template", table["StorageDescriptor"]["Location"])
        bucket, _, location = template.removeprefix("s3://").partition("/")
        found = []
        # All objects below the last folder whose name is fixed: `refused/` of `refused/feed=${feed}/`.
        for entry in self._list(bucket, location.partition("$")[0].rpartition("/")[0] + "/"):
            partition = partition_of(entry["Key"], location, parameters, self.now)
            # Names that begin with "_" or "." are no data. https://docs.aws.amazon.com/athena/latest/ug/tables-location-format.html
            if partition is not None and entry["Key"].rpartition("/")[2][:1] not in ("", "_", "."):
                found.append(StoredFile(key=entry["Key"], partition=partition))
        return bucket, found

    def _list(self, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
        try:
            for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                yield from page.get("Contents", ())
        except ClientError as error:
            raise denied(f"s3://{bucket}/{prefix}", error) from None

    def _get(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            body: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            raise denied(uri, error) from None
        return body


def _version(node: exp.Table) -> Callable[[Any], int | None]:
    """A function that finds the id of the query's snapshot in the metadata of the table.

    The query may name the snapshot by its id or by a time; else it is the present one, None for a table without any.
    Raises QueryError if the time is none. The function raises QueryError if there was no snapshot at that time.
    https://docs.aws.amazon.com/athena/latest/ug/querying-iceberg-time-travel-and-version-travel-queries.html"""
    version = node.args.get("version")
    if version is None:
        return lambda metadata: metadata.current_snapshot_id
    text = version.expression.sql()
    if str(version.this).upper() == "VERSION":
        return lambda _: int(text)
    found = re.search(r"'([^']+)'", text)
    if found is None:
        raise QueryError(f"INVALID_ARGUMENTS: expected a timestamp, got {text}")
    # `TIMESTAMP '1997-05-01 00:00:00 UTC'`: times are UTC here, with or without the word.
    moment = datetime.fromisoformat(f"{found[1].removesuffix(' UTC')}+00:00")

    def at_that_time(metadata: Any) -> int:
        before = [entry for entry in metadata.snapshot_log if entry.timestamp_ms <= moment.timestamp() * 1000]
        if not before:
            raise QueryError(f"INVALID_ARGUMENTS: No version history at or before {moment}")
        return int(before[-1].snapshot_id)

    return at_that_time


def _from_parquet(
    content: bytes, fields: Mapping[Any, pa.Field], key_of: Callable[[pa.Field], Any]
) -> tuple[pa.Table, int]:
    """The rows of a Parquet file in the columns of the table, and the bytes of these columns in the file.

    `key_of` is the key in `fields` of a column of the file. A column that the file does not have is null."""
    with pq.ParquetFile(io.BytesIO(content)) as file:
        names = {key_of(column): column.name for column in file.schema_arrow}
        there = {key: names[key] for key in fields if key in names}
        rows = file.read(columns=list(there.values()))
        size = _size(file, set(there.values()))
    cells = {
        field.name: rows[there[key]].cast(field.type) if key in there else pa.nulls(rows.num_rows, field.type)
        for key, field in fields.items()
    }
    return pa.table(cells) if cells else _only_rows(rows.num_rows), size


def _field_id(column: pa.Field) -> int:
    """What Iceberg writes into the metadata of a Parquet column; -1, which is no field's id, if it wrote nothing."""
    return int((column.metadata or {}).get(FIELD_ID, b"-1"))


def _reader(serde: str) -> Callable[[bytes, pa.Schema], tuple[pa.Table, int]]:
    """What reads a file of the serde: it returns the rows, and the bytes that Athena reads for them.

    Of JSON lines Athena reads the whole file. Columns of Parquet are found by name, without regard to case. Raises
    NotImplementedError for another serde."""
    if serde == JSON_SERDE:
        return lambda content, schema: (read_lines(content, schema), len(content))
    if serde == PARQUET_SERDE:
        return lambda content, schema: _from_parquet(
            content, {field.name.lower(): field for field in schema}, lambda column: column.name.lower()
        )
    raise NotImplementedError(f"athena: rows by the serde {serde}")


def _size(file: Any, names: set[str]) -> int:
    """The compressed bytes of these columns in the file: what Athena reads and bills of Parquet."""
    # A nested column lies in several chunks, whose paths begin with its name: `meta.id`, `meta.key.value`.
    groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
    chunks = (group.column(place) for group in groups for place in range(group.num_columns))
    return sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema.partition(".")[0] in names)


def _only_rows(count: int) -> pa.Table:
    """A table of `count` rows, with one column that no query names: `count(*)` reads no column at all."""
    return pa.table({ROW: pa.nulls(count, pa.bool_())})


ROW = "$row"
"""The name of the only column of such a table."""


def _joined(parts: Sequence[pa.Table]) -> pa.Table:
    """The parts as one table. The first part has no rows: it names the columns if there is no other part."""
    first, *others = parts if parts[0].num_columns else [_only_rows(0), *parts[1:]]
    return pa.concat_tables(others, promote_options="default") if others else first
