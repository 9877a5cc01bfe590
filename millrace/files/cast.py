"""Columns into the contract's types; a cell that does not fit is found, never dropped and never made null."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from millrace.contract.arrow import arrow_type
from millrace.contract.schema import Kind

if TYPE_CHECKING:
    import pyarrow as pa

PLAUSIBLE: dict[Kind, str] = {
    "int32": r"^[+-]?[0-9]+$",
    "int64": r"^[+-]?[0-9]+$",
    "float32": r"^[+-]?([0-9.]+([eE][+-]?[0-9]+)?|(?i:nan|inf|infinity))$",
    "float64": r"^[+-]?([0-9.]+([eE][+-]?[0-9]+)?|(?i:nan|inf|infinity))$",
    "date": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "timestamp": r"^[0-9]{4}-",
    "timestamp_utc": r"^[0-9]{4}-",
    "boolean": r"^(?i:true|false|0|1)$",
}
"""What a text must look like before the exact cast is tried cell by cell: a column of rubbish is told at once."""


def from_text(cells: pa.Array, kind: Kind) -> tuple[pa.Array, list[int]]:
    """The typed column and the positions of texts that are none of its type (null there).

    Spaces around a cell are no part of it; an empty cell is null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.ascii_trim_whitespace(cells)
    present = pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)
    if kind == "string":
        return present, []
    if kind == "binary":
        return _from_hexadecimal(present)
    try:
        return pc.cast(present, arrow_type(kind)), []
    except pa.ArrowInvalid:
        plausible = pc.fill_null(pc.match_substring_regex(present, PLAUSIBLE[kind]), True)
        wrong = _positions(pc.invert(plausible))
        kept = pc.if_else(plausible, present, pa.scalar(None, pa.string()))
        typed, more = cast(kept, arrow_type(kind))
        return typed, sorted({*wrong, *more})


def cast(cells: pa.Array, wanted: pa.DataType) -> tuple[pa.Array, list[int]]:
    """The column as `wanted` and the positions of cells that do not fit (null there)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pc.cast(cells, wanted), []
    except pa.ArrowInvalid:
        wrong = _misfits(cells, wanted, 0)
    keep = np.ones(len(cells), dtype=bool)
    keep[wrong] = False
    return pc.cast(pc.if_else(pa.array(keep), cells, pa.scalar(None, cells.type)), wanted), wrong


def _misfits(cells: pa.Array, wanted: pa.DataType, start: int) -> list[int]:
    """Positions, counted from `start`, found by halving: cheap where misfits are few."""
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


def _from_hexadecimal(cells: pa.Array) -> tuple[pa.Array, list[int]]:
    import pyarrow as pa

    values: list[bytes | None] = []
    wrong = []
    for position, text in enumerate(cells.to_pylist()):
        try:
            values.append(None if text is None else bytes.fromhex(text))
        except ValueError:
            values.append(None)
            wrong.append(position)
    return pa.array(values, pa.binary()), wrong


def _positions(mask: Any) -> list[int]:
    import numpy as np

    return [int(at) for at in np.flatnonzero(mask.to_numpy(zero_copy_only=False))]
