"""Writes a result as Athena does: cells as text, in a CSV file with quotes and on the pages of GetQueryResults.

https://docs.aws.amazon.com/athena/latest/ug/querying-finding-output-files.html"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from localcloud.athena.statements import Result


def rows_of(result: Result) -> Iterator[list[str | None]]:
    """Yields each row as a list of texts; the text of null is None."""
    for batch in result.rows.to_batches():
        columns = [
            [_text(cell.as_py(), field.type) for cell in batch.column(at)] for at, field in enumerate(batch.schema)
        ]
        yield from (list(row) for row in zip(*columns, strict=True))


def to_csv(result: Result) -> str:
    """The result of a query as CSV: a line of names, then a line for each row. Every cell is quoted, null is empty.

    An example: `"load","kind"`, then `"1.5","a"`, then `,"b"`."""
    lines = [_line(result.rows.schema.names), *(_line(row) for row in rows_of(result))]
    return "".join(lines)


def column_info(result: Result) -> list[dict[str, Any]]:
    """The columns as GetQueryResults describes them (ColumnInfo)."""
    return [
        {
            "CatalogName": "hive",
            "SchemaName": "",
            "TableName": "",
            "Name": name,
            "Label": name,
            "Type": kind,
            "Precision": 0,
            "Scale": 0,
            "Nullable": "UNKNOWN",
            "CaseSensitive": kind in ("varchar", "string"),
        }
        for name, kind in zip(result.rows.schema.names, result.types, strict=True)
    ]


def _line(cells: list[str | None] | list[str]) -> str:
    quoted = ('"' + cell.replace('"', '""') + '"' if cell is not None else "" for cell in cells)
    return ",".join(quoted) + "\n"


def _text(value: Any, kind: pa.DataType) -> str | None:
    """A cell as Athena writes it: `true`, `1997-05-01 00:00:00.000`, `{id=e2, key={at=1}}`, `[1, 2]`; None for null."""
    # datetime before date, of which it is a subclass.
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, float):
        return json.dumps(value)  # with NaN and Infinity, as Athena writes them
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}={_part(one, kind.field(name).type)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return _several(value, kind)
    return str(value)


def _several(value: list[Any], kind: pa.DataType) -> str:
    # Arrow gives a map as a list of pairs.
    if pa.types.is_map(kind):
        pairs = ((_part(name, kind.key_type), _part(one, kind.item_type)) for name, one in value)
        return "{" + ", ".join(f"{name}={one}" for name, one in pairs) + "}"
    return "[" + ", ".join(_part(one, kind.value_type) for one in value) + "]"


def _part(value: Any, kind: pa.DataType) -> str:
    """A value within another one: there null is written `null`."""
    found = _text(value, kind)
    return "null" if found is None else found


def _time(value: datetime) -> str:
    """The time with three digits of a second, or with six if the last three are not zero."""
    exact = "microseconds" if value.microsecond % 1000 else "milliseconds"
    text = value.replace(tzinfo=None).isoformat(sep=" ", timespec=exact)
    return text if value.tzinfo is None else f"{text} UTC"
