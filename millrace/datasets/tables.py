"""Opens and makes the Iceberg tables in the Glue catalogue, and writes the data files that go into them.

CloudFormation owns only the database, not the tables."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from millrace.contract.kinds import INTEGERS, NUMBERS, Kind
from millrace.contract.schema import ARRIVED, SOURCE, Contract, Table, arrow_schema
from millrace.errors import WorkloadError
from millrace.names import WorkloadNames

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.catalog.glue import GlueCatalog
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import StaticTable
    from pyiceberg.table import Table as IcebergTable

PROPERTIES = {
    "format-version": "2",
    "write.delete.mode": "copy-on-write",
    "write.update.mode": "copy-on-write",
    "write.merge.mode": "copy-on-write",
    "commit.retry.num-retries": "0",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "16",
}
"""The properties of a new table. pyiceberg makes no retries within a commit: our retries first look whether the drop is
there already, pyiceberg's would not. 16 manifests become one: each drop leaves a manifest with one file, and each look
at the table's keys reads all manifests. https://iceberg.apache.org/docs/latest/configuration/#write-properties"""
CALL_ATTEMPTS = 8
"""The attempts at one call of Glue, with pauses that double up to 20 s: half a minute together, at most 71 s. AWS
throttles all calls of an account in a region together:
https://repost.aws/knowledge-center/glue-throttling-rate-exceeded"""


class Lake:
    """The tables of one workload."""

    def __init__(self, names: WorkloadNames, contract: Contract) -> None:
        self.names, self.contract = names, contract
        self._catalog: GlueCatalog | None = None

    @property
    def catalog(self) -> GlueCatalog:
        """The Glue catalogue, opened at its first use.

        It is given the region: otherwise pyiceberg asks S3 for it and waits for seconds."""
        from millrace.datasets.iceberg import Catalog

        if self._catalog is None:
            region = self.names.platform.region
            self._catalog = Catalog("millrace", client=_glue(region), **file_properties(region))
        return self._catalog

    def find(self, table: str) -> IcebergTable | None:
        """The table `rows` or `labels` as it is now; None if it has not been made yet."""
        from pyiceberg.exceptions import NoSuchTableError

        try:
            return self.catalog.load_table(self._identifier(table))
        except NoSuchTableError:
            return None

    def open(self, table: str) -> IcebergTable:
        """The table. It is made if it is not there, and gets the contract's columns if the contract has changed.

        Raises WorkloadError for a change that the table cannot follow."""
        from pyiceberg.exceptions import TableAlreadyExistsError

        found = self.find(table)
        schema = self.schema(table)
        if found is None:
            # Two first drops of a workload may come at once: the second one takes the table that the first has made.
            try:
                return self.catalog.create_table(
                    self._identifier(table), schema=schema, location=self.location(table), properties=PROPERTIES
                )
            except TableAlreadyExistsError:
                return self.catalog.load_table(self._identifier(table))
        follow(found, self.contract_of(table), schema)
        return found

    def location(self, table: str) -> str:
        """The URI of the folder with the table's files. It is always given: the database's location has no effect."""
        return self.names.lake_uri("iceberg", self.names.table(table))

    def schema(self, table: str) -> pa.Schema:
        """The schema of the table: the contract's columns, SOURCE and ARRIVED.

        A row may lack its label, even a required one: a row that was made of a decision has its label in `labels`."""
        import pyarrow as pa

        labels = {column.name for column in self.contract_of(table).columns if column.label and table == "rows"}
        schema = arrow_schema(self.contract_of(table))
        columns = [field.with_nullable(True) if field.name in labels else field for field in schema]
        return pa.schema([*columns, pa.field(SOURCE, pa.string()), pa.field(ARRIVED, pa.timestamp("us", "UTC"))])

    def contract_of(self, table: str) -> Table:
        return self.contract.rows if table == "rows" else self.contract.labels

    def _identifier(self, table: str) -> tuple[str, str]:
        return self.names.platform.database, self.names.table(table)


@lru_cache(maxsize=2)
def table_at(location: str) -> StaticTable:
    """The table as its metadata at the URI has it, without a catalogue; a process reads that once."""
    from pyiceberg.table import StaticTable

    from millrace.datasets.iceberg import s3_client

    return StaticTable.from_metadata(location, file_properties(s3_client().meta.region_name))


def file_properties(region: str) -> dict[str, str]:
    """How the files of a table are read and written."""
    from millrace.datasets.iceberg import S3FileIO

    read_names_whole()
    # Arrow reads large files from S3 by itself, so it needs the endpoint of a local cloud too.
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    return {
        "s3.region": region,
        "s3.request-timeout": "60",
        "py-io-impl": f"{S3FileIO.__module__}.{S3FileIO.__qualname__}",
        **({"s3.endpoint": endpoint} if endpoint else {}),
    }


def _glue(region: str) -> Any:
    """boto3's client of Glue. It repeats calls that failed or had no answer, except a commit that may have arrived.

    A commit that is sent twice looks like a conflict with another writer. pyiceberg then deletes the manifests of the
    commit that it takes for lost, and the table could not be read any more."""
    import boto3
    from botocore.config import Config

    retries: Any = {"mode": "standard", "total_max_attempts": CALL_ATTEMPTS}
    glue = boto3.client("glue", region_name=region, config=Config(retries=retries))
    # botocore takes the first answer that is not None. It calls handlers of one operation before its own handler of all
    # operations, so ours decides first.
    glue.meta.events.register("needs-retry.glue.UpdateTable", _end_unless_throttled)
    return glue


def _end_unless_throttled(response: tuple[Any, dict[str, Any]] | None, **_: Any) -> bool | None:
    """None leaves the decision about a further attempt to botocore, False ends the attempts.

    A throttled commit has not arrived for certain, so it may be sent again."""
    code = response[1].get("Error", {}).get("Code") if response else None
    return None if code == "ThrottlingException" else False


def read_names_whole() -> None:
    """Let pyiceberg's filters name a column with a dot, such as `No.`, by its whole name.

    pyiceberg takes the dot for the path to a field of a struct, and a contract's columns are never nested. A second
    call changes nothing."""
    from pyiceberg.io import pyarrow

    # pyiceberg has no setting for it, so one private method of its visitor is replaced.
    pyarrow._ConvertToArrowExpression._get_field_name = _whole_name  # type: ignore[assignment,method-assign]


def _whole_name(_: Any, term: Any) -> str:
    return str(term.ref().field.name)


class NewDataFile:
    """A new Parquet file of a table, written part by part. It is in no snapshot yet.

    The file grows on disk, at `path`, so memory holds one part at a time; it is uploaded when it is whole. Each column
    has its Iceberg field id. Each page has a checksum, which pyiceberg's own writer leaves out: a flipped bit would be
    read as data."""

    def __init__(self, iceberg: IcebergTable, path: Path) -> None:
        import pyarrow.parquet as pq
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        self.rows = 0
        self._iceberg, self._path = iceberg, path
        self._schema = schema_to_pyarrow(iceberg.schema())
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", write_page_checksum=True)

    def add(self, rows: pa.Table) -> None:
        """Write a row group. `rows` has the contract's columns in any order; other columns of the table become null."""
        if rows.num_rows:
            self._writer.write_table(with_former(rows, self._schema))
            self.rows += rows.num_rows

    def store(self, name: str = "") -> DataFile | None:
        """The uploaded file, as a manifest has it; None if it has no rows. It gets a new name if none is given."""
        from millrace.datasets.iceberg import upload

        self._writer.close()
        if not self.rows:
            return None
        # The upload comes before the commit. If the commit loses, an object is left that no snapshot names; in the
        # other order a snapshot could name an object that is not there.
        location = f"{self._iceberg.location()}/data/{name or uuid.uuid4()}.parquet"
        upload(self._path, location)
        return _data_file(self._iceberg, location, self._path.stat().st_size, self._writer.writer.metadata)


def stored_file(iceberg: IcebergTable, location: str) -> DataFile:
    """The data file that a NewDataFile has stored, as a manifest has it."""
    import pyarrow.parquet as pq

    file = iceberg.io.new_input(location)
    with file.open() as stream:
        return _data_file(iceberg, location, len(file), pq.read_metadata(stream))


def _data_file(iceberg: IcebergTable, location: str, size: int, footer: pq.FileMetaData) -> DataFile:
    """The entry of a manifest, with the sizes and bounds that it needs.

    Source: https://iceberg.apache.org/spec/#manifests"""
    from pyiceberg.io.pyarrow import (
        compute_statistics_plan,
        data_file_statistics_from_parquet_metadata,
        parquet_path_to_id_mapping,
    )
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
    from pyiceberg.typedef import Record

    statistics = data_file_statistics_from_parquet_metadata(
        footer,
        compute_statistics_plan(iceberg.schema(), iceberg.metadata.properties),
        parquet_path_to_id_mapping(iceberg.schema()),
    )
    file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        file_size_in_bytes=size,
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
    file.spec_id = iceberg.metadata.default_spec_id  # the constructor leaves it out
    return file


def with_metadata(iceberg: IcebergTable, metadata: Any) -> IcebergTable:
    """The table as this metadata has it."""
    return type(iceberg)(iceberg.name(), metadata, iceberg.metadata_location, iceberg.io, iceberg.catalog)


def as_of(iceberg: IcebergTable, snapshot: int | None) -> IcebergTable:
    """The table with the rows and the columns of a snapshot, under the names of now; for None as it is now."""
    from pyiceberg.schema import Schema

    # A scan of the snapshot has its columns under their former names, and filters by those of now.
    if snapshot is None:
        return iceberg
    names = {field.field_id: field.name for field in iceberg.schema().fields}
    fields = iceberg.scan(snapshot_id=snapshot).projection().fields
    schema = Schema(*(one.model_copy(update={"name": names.get(one.field_id, one.name)}) for one in fields))
    then = {"schemas": [schema], "current_schema_id": schema.schema_id, "current_snapshot_id": snapshot}
    return with_metadata(iceberg, iceberg.metadata.model_copy(update=then))


def rows_of(
    iceberg: IcebergTable, files: Iterable[DataFile], names: Iterable[str], which: BooleanExpression | None = None
) -> pa.Table:
    """The rows of the files that the filter finds, in the table's present columns."""
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan
    from pyiceberg.table import FileScanTask

    scan = ArrowScan(iceberg.metadata, iceberg.io, iceberg.schema().select(*names), which or AlwaysTrue())
    return scan.to_table([FileScanTask(data_file=file) for file in files])


# A table follows a contract that has changed: columns are added, renamed and widened, none is taken away.

ICEBERG_TYPES: dict[Kind, str] = {
    "int32": "int",
    "int64": "long",
    "float32": "float",
    "float64": "double",
    "string": "string",
    "binary": "binary",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "timestamp_utc": "timestamptz",
}
"""Iceberg's type of each kind. Source: https://iceberg.apache.org/spec/#primitive-types"""
WIDER = {("int", "long"), ("float", "double")}
"""Pairs of a type and a wider one. A column of the first type may become one of the second, which holds all values of
the first."""


Change = Literal["added", "removed", "renamed", "widened", "narrowed", "retyped"]


@dataclass(frozen=True, kw_only=True)
class ColumnChange:
    """How one column of a contract differs from the table's, which is the same one by its field id."""

    name: str
    change: Change
    before: str = ""
    """The table's name of a column that is renamed, and the kind of one with another type."""
    now: str = ""
    refusal: str = ""
    """What is expected in place of a change that the table cannot follow: then no drop comes in."""

    @property
    def can_rewrite(self) -> bool:
        """Whether the rows can be written anew in the column's type (`millrace.datasets.rewriting`).

        Each cell must have one meaning in both kinds: a zone, a time of day or bytes cannot be guessed."""
        kinds = {self.before, self.now}
        is_plain = any(kinds <= {*some} for some in (NUMBERS, (*INTEGERS, "boolean"))) or "string" in kinds
        is_plain = is_plain or (self.before, self.now) == ("date", "timestamp")
        return self.change in ("narrowed", "retyped") and is_plain and "binary" not in kinds


def types_in(iceberg: IcebergTable) -> dict[str, str]:
    """Iceberg's type of each column of the table."""
    return {field.name: str(field.field_type) for field in iceberg.schema().fields}


def changes_of(there: Mapping[str, str], contract: Table) -> Iterator[ColumnChange]:
    """What differs from a table with these columns, each with Iceberg's type, in the order of the contract.

    A column has the field id of the table's column of its name, or else of the one that it was `formerly`."""
    left = {name: word for name, word in there.items() if not name.startswith("_")}
    for column in contract.columns:
        name, kind = column.name, column.kind
        if column.formerly in left:
            both = f"no `formerly`: the table has {column.formerly} beside {name}" if name in left else ""
            yield ColumnChange(name=name, change="renamed", before=column.formerly, now=name, refusal=both)
            name = name if both else column.formerly
        old, new = left.pop(name, None), ICEBERG_TYPES[kind]
        if old is None:
            yield ColumnChange(name=name, change="added", now=kind)
        elif old != new:
            before = next(kind for kind, word in ICEBERG_TYPES.items() if word == old)
            change: Change = "widened" if (old, new) in WIDER else "narrowed" if (new, old) in WIDER else "retyped"
            one = ColumnChange(name=column.name, change=change, before=before, now=kind)
            way = "after the deployment `millrace contract rewrite`" if one.can_rewrite else "a new workload"
            other = f"a {before}, as the table has it (or a new column name, with physicalName: {column.name_in_file}; "
            yield replace(one, refusal=f"{other}or {way})" if change == "retyped" else "")
    for name in left:
        yield ColumnChange(name=name, change="removed")


def follow(iceberg: IcebergTable, contract: Table, schema: pa.Schema) -> None:
    """Give the table the columns, the names and the wider types of `schema` that it lacks.

    A column that the contract no longer has stays, since older snapshots and rows have it. It becomes optional, since
    new rows hold nothing in it. Raises WorkloadError for a change that the table cannot follow."""
    changes = [*changes_of(types_in(iceberg), contract)]
    for one in changes:
        if one.refusal:
            where = f"contract.yaml, {contract.name}"
            raise WorkloadError(where=where, field=one.name, expected=one.refusal, came=one.now)
    # An update is a commit of its own, so there is none if nothing changes.
    if renamed := {one.before: one.name for one in changes if one.change == "renamed"}:
        with iceberg.update_schema() as update:
            for before, now in renamed.items():
                update.rename_column(before, now)
    fields = iceberg.schema().fields
    # A column that is required in the table and absent in the contract would refuse every new row.
    gone = [field.name for field in fields if field.required and field.name not in schema.names]
    is_wider = any(one.change == "widened" for one in changes)
    if not (is_wider or gone or set(schema.names) - {field.name for field in fields}):
        return
    with iceberg.update_schema() as update:
        update.union_by_name(schema)
        for name in gone:
            update.make_column_optional(name)


def with_former(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows in the columns of `schema`, with null in the columns that the rows do not have."""
    import pyarrow as pa

    there = set(rows.column_names)
    cells = [
        rows.column(field.name).cast(field.type) if field.name in there else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(cells, schema=schema)
