"""Reads the name of what a row is about off the beginning of a longer text, such as S00123 off S00123-04."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

PIECE, SIGN = r"[\pL\pN]+", r"[^\pL\pN\s]+"
"""Letters and digits, and what is between them: other signs, but no space."""


def with_names(table: pa.Table, columns: Sequence[str], pieces: int) -> pa.Table:
    """The table with the first pieces of the column's texts in place of the whole; as it is for 0.

    A text without more pieces behind them is missing. The first two of `scans/S00123/9.dcm` are `scans/S00123`."""
    if not pieces:
        return table
    name = f"(?:{SIGN})?{PIECE}(?:{SIGN}{PIECE}){{{pieces - 1}}}"
    found = pc.extract_regex(table[columns[0]], f"^(?P<name>{name}){SIGN}{PIECE}")
    return table.set_column(table.column_names.index(columns[0]), columns[0], pc.struct_field(found, "name"))
