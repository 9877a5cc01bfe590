"""Tables of the catalogue as Arrow: Iceberg by its metadata, others by their location, serde and projection.

Everything is read by the clients of the query's caller, so what the caller's role may not read fails the query."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from infra.local.athena.errors import QueryError, denied
from infra.local.athena.json_lines import read_lines
from infra.local.athena.kinds import arrow_type
from infra.local.athena.partitions import StoredFile, check_injected, conditions_on, partition_of, pruned

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlglot import exp

FIELD_ID = b"PARQUET:field_id"
JSON_SERDE = "org.openx.data.jsonserde.JsonSerDe"
PARQUET_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"


@dataclass(frozen=True, kw_only=True)
class TableReader:
    """The tables that one query reads."""

    glue: Any
    s3: Any
    database: Any
    """A connection of duckdb, which judges conditions on partitions."""
    now: datetime

    def find(self, schema: str, name: str) -> dict[str, Any]:
        """The catalogue's entry. Raises QueryError where there is none, or the caller may not see it."""
        try:
            found: dict[str, Any] = self.glue.get_table(DatabaseName=schema, Name=name)["Table"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "EntityNotFoundException":
                raise denied(f"{schema}.{name}", error) from None
            raise QueryError(f"TABLE_NOT_FOUND: Table 'awsdatacatalog.{schema}.{name}' does not exist") from None
        return found

    def read(self, node: exp.Table, schema: str, names: frozenset[str] | None) -> tuple[pa.Table, int]:
        """The rows in the columns of these names (None for all), and the bytes that Athena would read for them."""
        table = self.find(schema, node.name.lower())
        if table.get("Parameters", {}).get("table_type", "").upper() == "ICEBERG":
            return self._iceberg(table, _version(node), names)
        if node.args.get("version"):
            raise QueryError(f"INVALID_TABLE_PROPERTY: {node.name} has no versions: it is no Iceberg table")
        return self._external(table, node, names)

    def _iceberg(
        self, table: Mapping[str, Any], version: Callable[[Any], int | None], names: frozenset[str] | None
    ) -> tuple[pa.Table, int]:
        from pyiceberg.io.pyarrow import schema_to_pyarrow
        from pyiceberg.table.metadata import TableMetadataUtil

        from infra.local.athena.iceberg import files_of

        content = self._get(table["Parameters"]["metadata_location"])
        metadata = TableMetadataUtil.parse_raw(content.decode())
        fields = [field for field in metadata.schema().fields if names is None or field.name.lower() in names]
        arrow = schema_to_pyarrow(metadata.schema(), include_field_ids=False)
        types = {field.field_id: arrow.field(field.name) for field in fields}
        parts, size = [arrow.empty_table().select([field.name for field in fields])], 0
        for uri in files_of(metadata, version(metadata), self._get):
            part, read = _by_field_id(self._get(uri), types)
            parts.append(part)
            size += read
        return _joined(parts), size

    def _external(
        self, table: Mapping[str, Any], node: exp.Table, names: frozenset[str] | None
    ) -> tuple[pa.Table, int]:
        import pyarrow as pa

        keys = [column["Name"] for column in table.get("PartitionKeys", ())]
        conditions = conditions_on(node, keys)
        check_injected(conditions, table.get("Parameters", {}), keys)
        declared = table["StorageDescriptor"]["Columns"]
        wanted = [column for column in declared if names is None or column["Name"].lower() in names]
        schema = pa.schema([(column["Name"], arrow_type(column["Type"])) for column in wanted])
        shown = [key for key in keys if names is None or key.lower() in names]
        whole = pa.schema([*schema, *((key, pa.string()) for key in shown)])
        parts, size = [whole.empty_table()], 0
        bucket, files = self._files(table, keys)
        read_file = _reader(table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"])
        for file in pruned(files, conditions, keys, self.database):
            part, read = read_file(self._get(f"s3://{bucket}/{file.key}"), schema)
            for key in shown:
                part = part.append_column(key, pa.repeat(pa.scalar(file.partition[key]), part.num_rows))
            parts.append(part)
            size += read
        return _joined(parts), size

    def _files(self, table: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, list[StoredFile]]:
        parameters = table.get("Parameters", {})
        if keys and parameters.get("projection.enabled") != "true":
            raise NotImplementedError("athena: partitions that are registered in the catalogue")
        template = parameters.get("storage.location.template", table["StorageDescriptor"]["Location"])
        bucket, _, location = template.removeprefix("s3://").partition("/")
        found = []
        for entry in self._list(bucket, location.partition("$")[0].rpartition("/")[0] + "/"):
            partition = partition_of(entry["Key"], location, parameters, self.now)
            # Names that begin with "_" or "." are no data. https://docs.aws.amazon.com/athena/latest/ug/tables-location-format.html
            if partition is not None and entry["Key"].rpartition("/")[2][:1] not in ("", "_", "."):
                found.append(StoredFile(key=entry["Key"], size=entry["Size"], partition=partition))
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
    """The snapshot that the query names, by its id or by a time; None for the current one.

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
    moment = datetime.fromisoformat(f"{found[1].removesuffix(' UTC')}+00:00")

    def at_that_time(metadata: Any) -> int:
        before = [entry for entry in metadata.snapshot_log if entry.timestamp_ms <= moment.timestamp() * 1000]
        if not before:
            raise QueryError(f"INVALID_ARGUMENTS: No version history at or before {moment}")
        return int(before[-1].snapshot_id)

    return at_that_time


def _by_field_id(content: bytes, types: Mapping[int, pa.Field]) -> tuple[pa.Table, int]:
    """A data file in the columns of the table as it is now, whatever their names were when it was written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(io.BytesIO(content)) as file:
        names = {int((field.metadata or {}).get(FIELD_ID, b"-1")): field.name for field in file.schema_arrow}
        there = {field_id: names[field_id] for field_id in types if field_id in names}
        rows = file.read(columns=list(there.values()))
        size = _size(file, set(there.values()))
    cells = [
        rows[there[field_id]].cast(field.type) if field_id in there else pa.nulls(rows.num_rows, field.type)
        for field_id, field in types.items()
    ]
    return pa.table(cells, names=[field.name for field in types.values()]) if cells else _only_rows(rows), size


def _reader(serde: str) -> Callable[[bytes, pa.Schema], tuple[pa.Table, int]]:
    if serde == JSON_SERDE:
        return lambda content, schema: (_counted(content, schema), len(content))
    if serde == PARQUET_SERDE:
        return _by_name
    raise NotImplementedError(f"athena: rows by the serde {serde}")


def _counted(content: bytes, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    if len(schema):
        return read_lines(content, schema)
    return _only_rows(read_lines(content, pa.schema([("line", pa.string())])))


def _by_name(content: bytes, schema: pa.Schema) -> tuple[pa.Table, int]:
    """Parquet by the names of the catalogue, without regard to case."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(io.BytesIO(content)) as file:
        names = {name.lower(): name for name in file.schema_arrow.names}
        there = {field.name: names[field.name.lower()] for field in schema if field.name.lower() in names}
        rows = file.read(columns=list(there.values()))
        size = _size(file, set(there.values()))
    cells = [
        rows[there[field.name]].cast(field.type) if field.name in there else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(cells, schema=schema) if cells else _only_rows(rows), size


def _size(file: Any, names: set[str]) -> int:
    """Bytes of these columns as they are compressed in the file: what Athena reads and bills of Parquet."""
    groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
    chunks = (group.column(place) for group in groups for place in range(group.num_columns))
    return sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema.partition(".")[0] in names)


def _only_rows(rows: pa.Table) -> pa.Table:
    """As many rows in one column that no query names: `count(*)` reads no column at all."""
    import pyarrow as pa

    return pa.table({ROW: pa.nulls(rows.num_rows, pa.bool_())})


ROW = "$row"


def _joined(parts: Sequence[pa.Table]) -> pa.Table:
    """The parts in one; the first has no row, and says the columns where there is no other."""
    import pyarrow as pa

    first, *others = parts if parts[0].num_columns else [_only_rows(parts[0]), *parts[1:]]
    return pa.concat_tables(others, promote_options="default") if others else first
