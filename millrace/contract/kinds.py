"""The kinds of columns: what each is in Arrow, and how JSON writes its cells."""

from __future__ import annotations

import base64
import math
import re
import struct
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal[
    "int32",
    "int64",
    "float32",
    "float64",
    "string",
    "binary",
    "boolean",
    "date",
    "timestamp",
    "timestamp_utc",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
INTEGERS: dict[Kind, int] = {"int32": 2**31, "int64": 2**63}
"""The limit of each kind of whole numbers: a number v fits if -limit <= v < limit."""
FLOATS: tuple[Kind, ...] = ("float32", "float64")
FLOAT32_MAX: float = struct.unpack("f", b"\xff\xff\x7f\x7f")[0]
"""The largest finite float32."""
FLOAT32_END: float = 2.0**128 - 2.0**103
"""The smallest number that float32 rounds to infinity; below it numbers are rounded to FLOAT32_MAX."""
NUMBERS: tuple[Kind, ...] = (*INTEGERS, *FLOATS)
TIMES: tuple[Kind, ...] = ("date", "timestamp", "timestamp_utc")
DECLARED_TYPES: dict[str, dict[str, Kind]] = {
    "integer": {
        "": "int64",
        "INTEGER": "int32",
        "INT": "int32",
        "SMALLINT": "int32",
        "BIGINT": "int64",
        "LONG": "int64",
    },
    "number": {"": "float64", "DOUBLE": "float64", "FLOAT": "float32", "REAL": "float32"},
    "string": {"": "string", "STRING": "string", "VARCHAR": "string", "TEXT": "string", "BINARY": "binary"},
    "boolean": {"": "boolean", "BOOLEAN": "boolean"},
    "date": {"": "date", "DATE": "date"},
    "timestamp": {"": "timestamp", "TIMESTAMP": "timestamp"},
}
"""The kind of a column by `logicalType`, then by `physicalType`; "" stands for a column without a `physicalType`."""
# Read from the end, so that of several physical types of one kind the first in the table remains.
TYPES_OF_KIND: dict[Kind, tuple[str, str]] = {
    kind: (logical, physical)
    for logical, kinds in DECLARED_TYPES.items()
    for physical, kind in reversed(kinds.items())
    if physical
}
TYPES_OF_KIND["timestamp_utc"] = TYPES_OF_KIND["timestamp"]
"""`logicalType` and `physicalType` of a column by its kind: `{"int64": ("integer", "BIGINT"), …}`.

A `timestamp_utc` has `logicalTypeOptions: {timezone: true}` beside them."""
FORMS: dict[Kind, str] = {
    "int32": f"a whole number from {-(2**31):,} to {2**31 - 1:,}",
    "int64": "a whole number",
    "float32": "a number",
    "float64": "a number",
    "string": "a text",
    "binary": "bytes, as base64 in text",
    "boolean": "true or false",
    "date": "a date, such as 2025-04-07",
    "timestamp": "a time without an offset, such as 2025-04-07T10:00:00",
    "timestamp_utc": "a time with an offset, such as 2025-04-07T10:00:00Z",
}
"""What a cell of each kind must be, for people."""
DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d([ T]([01]\d|2[0-3])(:[0-5]\d(:[0-5]\d(\.\d{1,6})?)?)?(Z|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)?)?",
    re.ASCII,
)
"""The texts that Arrow reads as timestamps in microseconds.

`datetime.fromisoformat` reads more, for example week dates."""


def arrow_type(kind: Kind) -> pa.DataType:
    """The Arrow type of a kind. Timestamps are in microseconds, as Iceberg keeps them."""
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


def parse_cell(value: Any, kind: Kind) -> Any:
    """The JSON value as a cell of its column's type; None for None.

    Times are ISO text, binary cells are base64 text. A number too large for a float column becomes infinite. Raises
    ValueError for a value that is not of the type. This is plain Python, since the prediction function has no Arrow."""
    if value is None:
        return None
    if not has_json_type(value, kind):
        raise ValueError(value)
    match kind:
        case "boolean":
            return bool(value)
        case "binary":
            return from_base64(value)
        case "date":
            return date.fromisoformat(_matching(DATE, value))
        case "timestamp" | "timestamp_utc":
            return parse_timestamp(value, kind)
        case "float32" | "float64":
            return to_float(value, kind)
    return value


def has_json_type(value: object, kind: Kind) -> bool:
    """Whether JSON writes cells of this kind as such a value.

    Any text passes for a time and for bytes: only `parse_cell` tells whether the text can be read."""
    if limit := INTEGERS.get(kind):
        return isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit
    if kind in FLOATS:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "boolean":  # programs without a type for it write 0 and 1
        return isinstance(value, bool) or (type(value) is int and value in (0, 1))
    return isinstance(value, str) and _is_unicode(value)


def to_float(value: float, kind: Kind = "float64") -> float:
    """The nearest number that a float column of this kind can hold; infinite if the value is beyond its range."""
    try:
        number = float(value)
        return float(struct.unpack("f", struct.pack("f", number))[0]) if kind == "float32" else number
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def from_base64(text: str) -> bytes:
    """The bytes that the text stands for.

    Raises ValueError for a character outside of the standard alphabet and for wrong padding."""
    found = base64.b64decode(text, validate=True)
    # Python's reader also takes padding behind a whole group, and set bits in the last letter that belong to no byte.
    # So the bytes are written again and compared.
    if base64.b64encode(found) != text.encode():
        raise ValueError(text)
    return found


def as_json(cell: object) -> object:
    """The cell as JSON holds it: the reverse of `parse_cell`."""
    if isinstance(cell, bytes):
        return to_base64(cell)
    return cell.isoformat() if isinstance(cell, date) else cell


def as_finite_json(cell: object) -> Any:
    """The cell as JSON holds it; None for a number that JSON cannot hold."""
    return None if isinstance(cell, float) and not math.isfinite(cell) else as_json(cell)


def to_base64(cell: bytes) -> str:
    """The bytes as base64 text: the reverse of `from_base64`."""
    return base64.b64encode(cell).decode()


def parse_timestamp(text: str, kind: Kind) -> datetime:
    """The time of a cell of kind `timestamp` or `timestamp_utc`. Raises ValueError for another text."""
    moment = datetime.fromisoformat(_matching(TIMESTAMP, text))
    # A `timestamp` must not have an offset, a `timestamp_utc` must have one.
    if (moment.tzinfo is None) is not (kind == "timestamp"):
        raise ValueError(text)
    try:
        return moment if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:  # the first and the last hours of the calendar, in another zone
        raise ValueError(text) from None


def _matching(form: re.Pattern[str], text: str) -> str:
    if form.fullmatch(text) is None:
        raise ValueError(text)
    return text


def _is_unicode(text: str) -> bool:
    """Whether UTF-8 can write the text: not if it has half a surrogate pair, which JSON can write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
