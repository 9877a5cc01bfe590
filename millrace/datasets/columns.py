"""A table whose contract has changed: columns are added and widened, none is taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.contract.kinds import Kind
from millrace.contract.schema import Table
from millrace.errors import WorkloadError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table as IcebergTable

TYPES: dict[Kind, str] = {
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
"""Source: https://iceberg.apache.org/spec/#primitive-types"""
WIDER = {("int", "long"), ("float", "double")}
"""A column of the first type may become one of the second, and takes its values; the others hold them all."""


def follow(iceberg: IcebergTable, contract: Table, schema: pa.Schema) -> None:
    """Give the table the columns that `schema` has and it has not, and the wider types.

    A column that the contract no longer has stays, as older snapshots and rows have it; it must not be required, since
    new rows hold nothing in it. Raises WorkloadError for a type that the values of the table's column do not have."""
    there = {field.name: str(field.field_type) for field in iceberg.schema().fields}
    _check_types(there, contract)
    types = {column.name: TYPES[column.kind] for column in contract.columns}
    is_wider = any((there.get(name), new) in WIDER for name, new in types.items())
    gone = [field.name for field in iceberg.schema().fields if field.required and field.name not in schema.names]
    if not (is_wider or gone or set(schema.names) - set(there)):
        return
    with iceberg.update_schema() as update:
        update.union_by_name(schema)
        for name in gone:
            update.make_column_optional(name)


def with_former(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows in the columns of `schema`, with nothing in those that the contract no longer has."""
    import pyarrow as pa

    there = set(rows.column_names)
    cells = [
        rows.column(field.name).cast(field.type) if field.name in there else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(cells, schema=schema)


def _check_types(there: dict[str, str], contract: Table) -> None:
    for column in contract.columns:
        new, old = TYPES[column.kind], there.get(column.name)
        if old is None or new == old or {(new, old), (old, new)} & WIDER:
            continue
        kind = next(kind for kind, word in TYPES.items() if word == old)
        raise WorkloadError(
            where=f"contract.yaml, {contract.name}",
            field=column.name,
            expected=f"a {kind}, as the table has it (or a new column name, with physicalName: {column.name_in_file})",
            came=column.kind,
        )
