"""The columns of a file against the contract's: first their names, then their cells, which are cast.

A cell that is not of its column's type is reported, never dropped or made null."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from millrace.contract.kinds import INTEGERS, Kind, arrow_type, from_base64
from millrace.contract.reasons import Reason
from millrace.contract.schema import Table
from millrace.contract.violation import truncate
from millrace.errors import DropError

if TYPE_CHECKING:
    import pyarrow as pa

DAY_US = 86_400_000_000
FIRST_DAY, LAST_DAY = (day.toordinal() - date(1970, 1, 1).toordinal() for day in (date.min, date.max))
"""Counted from 1970-01-01, as Arrow does."""
DAY = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
NUMBER = r"^[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|(?i:nan|inf|infinity))$"
PLAUSIBLE: dict[Kind, str] = {
    "int32": r"^[+-]?0*[0-9]{1,10}$",
    "int64": r"^[+-]?0*[0-9]{1,19}$",
    "float32": NUMBER,
    "float64": NUMBER,
    "date": f"^{DAY}$",
    "timestamp": rf"^{DAY}([ T]([01][0-9]|2[0-3])|$)",
    "timestamp_utc": rf"^{DAY}([ T]([01][0-9]|2[0-3])|$)",
    "boolean": r"^(?i:true|false|0|1)$",
}
"""Cheap test of each text before the exact cast looks for misfits by halving, which is slow where many are wrong."""


def check_header(cells: Sequence[str], table: Table) -> list[str]:
    """The names of the columns as the file has them; raises DropError when they are not the contract's."""
    names = [name.strip() for name in cells]
    expected = ", ".join(table.names)
    if not set(names) & set(table.names):
        got = f"the line {truncate(','.join(cells))}"
        raise DropError(Reason.FOREIGN, expected=f"the columns {expected}", got=got)
    missing = [column.name for column in table.columns if column.is_expected and column.name not in names]
    unknown = [name for name in names if name not in table.names]
    if missing or unknown or len(set(names)) < len(names):
        got = f"{', '.join(names)} (missing: {missing}, unknown: {unknown})"
        raise DropError(Reason.COLUMNS, expected=f"the columns {expected}, each once", got=got)
    return names


def from_csv(cells: pa.Array, kind: Kind) -> tuple[pa.Array, list[int]]:
    """As `from_text`, where spaces around a cell do not count and an empty cell is null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.ascii_trim_whitespace(cells)
    return from_text(pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed), kind)


def from_text(cells: pa.Array, kind: Kind) -> tuple[pa.Array, list[int]]:
    """The typed column and the positions of texts that are not of its type (null there)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind == "string":
        return cells, []
    if kind == "binary":
        return _from_base64(cells)
    # Arrow's cast says that something is wrong, not where. The pattern takes out what is plainly no number or date;
    # what looks right and is not (`9e999` as an integer, 30 February) is left to the search by halving.
    # Arrow reads `0x10` as 16 too: such a number is none here, whatever its neighbours are.
    has_hex = kind in INTEGERS and pc.any(pc.match_substring(cells, "x", ignore_case=True)).as_py()
    try:
        if has_hex:
            raise pa.ArrowInvalid
        return _within_calendar(pc.cast(cells, arrow_type(kind)), [])
    except pa.ArrowInvalid:
        plausible = pc.fill_null(pc.match_substring_regex(cells, PLAUSIBLE[kind]), True)
        wrong = _positions(pc.invert(plausible))
        kept = pc.if_else(plausible, cells, pa.scalar(None, pa.string()))
        typed, more = cast(kept, arrow_type(kind))
        return typed, sorted({*wrong, *more})


def cast(cells: pa.Array, wanted: pa.DataType) -> tuple[pa.Array, list[int]]:
    """The column as `wanted` and the positions of cells that are not of this type (null there)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return _within_calendar(pc.cast(cells, wanted), [])
    except pa.ArrowInvalid:
        wrong = _misfits(cells, wanted, 0)
    keep = np.ones(len(cells), dtype=bool)
    keep[wrong] = False
    typed = pc.cast(pc.if_else(pa.array(keep), cells, pa.scalar(None, cells.type)), wanted)
    return _within_calendar(typed, wrong)


def _within_calendar(cells: pa.Array, wrong: list[int]) -> tuple[pa.Array, list[int]]:
    """Without dates and times outside of the years 1 to 9999 in UTC: Arrow holds them, Python has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date32(cells.type):
        numbers, first, last = cells.view(pa.int32()), FIRST_DAY, LAST_DAY
    elif pa.types.is_timestamp(cells.type):
        numbers, first, last = cells.view(pa.int64()), FIRST_DAY * DAY_US, (LAST_DAY + 1) * DAY_US - 1
    else:
        return cells, wrong
    extremes = pc.min_max(numbers).as_py()
    if extremes["min"] is None or (first <= extremes["min"] and extremes["max"] <= last):
        return cells, wrong
    outside = pc.fill_null(pc.or_(pc.less(numbers, first), pc.greater(numbers, last)), False)
    return pc.if_else(outside, pa.scalar(None, cells.type), cells), sorted({*wrong, *_positions(outside)})


def _misfits(cells: pa.Array, wanted: pa.DataType, start: int) -> list[int]:
    """Positions of cells that cannot be cast, counted from `start`, found by halving: quick where they are few.

    Of 8 cells with one misfit at 5: casts 0-3 (good), 4-7, 4-5, 4 (good), 5: found."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.cast(cells, wanted)
        return []
    except pa.ArrowInvalid:
        if len(cells) == 1:
            return [start]
    half = len(cells) // 2
    return _misfits(cells[:half], wanted, start) + _misfits(cells[half:], wanted, start + half)


def _from_base64(cells: pa.Array) -> tuple[pa.Array, list[int]]:
    import pyarrow as pa

    values: list[bytes | None] = []
    wrong = []
    for position, text in enumerate(cells.to_pylist()):
        try:
            values.append(None if text is None else from_base64(text))
        except ValueError:
            values.append(None)
            wrong.append(position)
    return pa.array(values, pa.binary()), wrong


def _positions(mask: Any) -> list[int]:
    import numpy as np

    return [int(at) for at in np.flatnonzero(mask.to_numpy(zero_copy_only=False))]
