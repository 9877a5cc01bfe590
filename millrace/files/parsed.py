"""What reading a drop gives, and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.contract.validate import Refused

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """A part of a drop: each of its rows is either typed or kept raw."""

    rows: pa.Table
    """The contract's columns in their types and `_line`; nothing else is promised of the values."""
    unparsable: tuple[Refused, ...]
    """Reasons: `columns` (number of cells), `type`, `quote`, `encoding`, `json`, `unknown_field`."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a drop may be at most; beyond, it is refused whole with the reason `too_large`."""

    file_bytes: int = 512 * 2**20
    rows: int = 20_000_000
    decoded_bytes: int = 4 * 2**30
    """Of a Parquet file, by its footer, and of the texts that one batch decodes to."""
    line_bytes: int = 2**20
    """Of one record in a text file."""
    block_bytes: int = 4 * 2**20
    """A text file is read in parts of this size: what bounds the memory."""
    batch_rows: int = 65_536
    """A Parquet file is read in parts of this many rows."""
