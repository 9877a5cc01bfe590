"""Reads rows of JSON lines as the OpenX SerDe does: names without regard to case, and any value as text if need be.

https://docs.aws.amazon.com/athena/latest/ug/openx-json-serde.html"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from localcloud.athena.errors import QueryError

if TYPE_CHECKING:
    import pyarrow as pa


def read_lines(content: bytes, schema: pa.Schema) -> pa.Table:
    """A table with a row for each line that is not empty. Raises QueryError for a line that is no JSON object.

    A column is null if the line lacks it, or if its value cannot be read as the column's type. Of the line
    `{"Value": "7", "Score": "high"}` the column `value string` is `7`, and `score double` is null."""
    import pyarrow as pa

    documents = [_document(line) for line in content.splitlines() if line.strip()]
    columns = [
        pa.array([_cell(document.get(field.name), field.type) for document in documents], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


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
    import pyarrow as pa

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
