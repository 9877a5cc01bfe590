"""The contract's columns as an Arrow schema: always explicit, never inferred."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.contract.schema import Kind, Table

if TYPE_CHECKING:
    import pyarrow as pa

LINE = "_line"
"""Where the row stood in its drop, 1-based: the line of a text file, the row of a Parquet file."""


def arrow_type(kind: Kind) -> pa.DataType:
    """The Arrow type of one kind; timestamps in microseconds, as Iceberg keeps them."""
    import pyarrow as pa

    return {
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float32": pa.float32(),
        "float64": pa.float64(),
        "string": pa.string(),
        "binary": pa.binary(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
        "timestamp_utc": pa.timestamp("us", tz="UTC"),
    }[kind]


def arrow_schema(table: Table) -> pa.Schema:
    """The columns of `table` in order, all nullable: `required` is a rule, so a null gets its reason."""
    import pyarrow as pa

    return pa.schema([(column.name, arrow_type(column.kind)) for column in table.columns])


def parsed_schema(table: Table) -> pa.Schema:
    """The columns of `table` and then `_line` (int64)."""
    import pyarrow as pa

    return arrow_schema(table).append(pa.field(LINE, pa.int64()))
