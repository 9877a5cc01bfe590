"""Types of columns: as text in the catalogue, as Arrow's types, and by the names that Athena gives them in a result."""

from __future__ import annotations

import functools
import re

import duckdb
import pyarrow as pa
from sqlglot import exp

TYPES = "array bigint binary boolean date double float int integer map smallint string struct timestamp tinyint"
"""The words of the types that are covered."""


@functools.cache
def arrow_type(text: str) -> pa.DataType:
    """Arrow's type for the text that a Glue column declares, such as `struct<data:string,seen:array<double>>`.

    Raises ValueError for an unknown type. https://docs.aws.amazon.com/athena/latest/ug/data-types.html"""
    # The names of fields stand in front of a colon, and may be words of SQL.
    fields = re.compile(r"([^<>,:]+):")
    if unknown := sorted({*re.findall(r"\w+", fields.sub("", text.lower()))} - {*TYPES.split()}):
        raise ValueError(f"glue: expected types of {TYPES}, got {unknown[0]!r} in {text!r}")
    kind = exp.DataType.build(fields.sub(r"`\1`:", text.strip().lower()), dialect="hive").sql("duckdb", identify=True)
    with duckdb.connect() as database:
        return database.sql(f"SELECT NULL::{kind}").to_arrow_table().schema.field(0).type


def athena_name(kind: pa.DataType) -> str:
    """The name of a column's type in the metadata of a result, such as `bigint`."""
    types = pa.types
    if types.is_timestamp(kind):
        return "timestamp with time zone" if kind.tz else "timestamp"
    if types.is_list(kind):
        return "array"
    if types.is_struct(kind):
        return "row"
    # The sum of integers is a bigint in Athena. In duckdb it has 128 bits, which Arrow has as a decimal without places.
    if types.is_decimal(kind):
        return "bigint" if kind.scale == 0 else "decimal"
    names = {
        "bool": "boolean",
        "int8": "tinyint",
        "int16": "smallint",
        "int32": "integer",
        "int64": "bigint",
        "float": "float",
        "double": "double",
        "binary": "varbinary",
        "date32[day]": "date",
    }
    return "map" if types.is_map(kind) else names.get(str(kind), "varchar")
