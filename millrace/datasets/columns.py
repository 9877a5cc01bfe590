"""Lets a table follow a contract that has changed: columns are added and widened, none is taken away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from millrace.contract.kinds import Kind
from millrace.contract.schema import Table
from millrace.errors import WorkloadError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table as IcebergTable

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


def follow(iceberg: IcebergTable, contract: Table, schema: pa.Schema) -> None:
    """Give the table the columns and the wider types of `schema` that it lacks.

    A column that the contract no longer has stays, since older snapshots and rows have it. It becomes optional, since
    new rows hold nothing in it. Raises WorkloadError for a column whose type in the table cannot take the contract's
    values."""
    there = types_of(iceberg.schema())
    check_types(there, contract, where=f"contract.yaml, {contract.name}")
    types = {column.name: ICEBERG_TYPES[column.kind] for column in contract.columns}
    is_wider = any((there.get(name), new) in WIDER for name, new in types.items())
    # A column that is required in the table and absent in the contract would refuse every new row.
    gone = [field.name for field in iceberg.schema().fields if field.required and field.name not in schema.names]
    # An update is a commit of its own, so there is none if nothing changes.
    if not (is_wider or gone or set(schema.names) - set(there)):
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


def types_of(schema: Schema) -> dict[str, str]:
    """Iceberg's type of each column, by name."""
    return {field.name: str(field.field_type) for field in schema.fields}


def check_types(there: Mapping[str, str], contract: Table, *, where: str) -> None:
    """Raise WorkloadError for a column whose type in the table cannot take the contract's values."""
    for column in contract.columns:
        new, old = ICEBERG_TYPES[column.kind], there.get(column.name)
        # A narrower type in the contract is good too: the table's wider one takes its values.
        if old is None or new == old or {(new, old), (old, new)} & WIDER:
            continue
        kind = next(kind for kind, word in ICEBERG_TYPES.items() if word == old)
        renamed = f"a new column name, with physicalName: {column.name_in_file}"
        raise WorkloadError(
            where=where,
            field=column.name,
            expected=f"a {kind}, as the table has it (or {renamed}; or a new workload)",
            came=column.kind,
        )
