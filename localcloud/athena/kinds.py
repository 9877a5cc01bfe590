"""Types of columns: as text in the catalogue, as Arrow's types, and by the names that Athena gives them in a result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_type(text: str) -> pa.DataType:
    """Arrow's type for the text that a Glue column declares, such as `struct<data:string,seen:array<double>>`.

    Raises ValueError for an unknown type. https://docs.aws.amazon.com/athena/latest/ug/data-types.html"""
    import pyarrow as pa

    text = text.strip().lower()
    name, _, inside = text.partition("<")
    parts = list(_split(inside[:-1])) if inside else []
    if name == "array":
        return pa.list_(arrow_type(parts[0]))
    if name == "map":
        return pa.map_(arrow_type(parts[0]), arrow_type(parts[1]))
    if name == "struct":
        fields = (part.partition(":") for part in parts)
        return pa.struct([(field, arrow_type(kind)) for field, _, kind in fields])
    # Any other type has one word and no parts.
    simple = {
        "boolean": pa.bool_(),
        "tinyint": pa.int8(),
        "smallint": pa.int16(),
        "int": pa.int32(),
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "float": pa.float32(),
        "double": pa.float64(),
        "string": pa.string(),
        "binary": pa.binary(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
    }
    if text not in simple:
        raise ValueError(f"glue: expected one of {sorted(simple)}, array, map or struct, got {text!r}")
    return simple[text]


def athena_name(kind: pa.DataType) -> str:
    """The name of a column's type in the metadata of a result, such as `bigint`."""
    import pyarrow as pa

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


def _split(text: str) -> Iterator[str]:
    """Split the text at the commas that lie in no brackets: `a:int,b:map<string,int>` has two parts."""
    depth, start = 0, 0
    for at, letter in enumerate(text):
        depth += {"<": 1, ">": -1}.get(letter, 0)
        if letter == "," and not depth:
            yield text[start:at]
            start = at + 1
    yield text[start:]
