"""What is wrong with a row, as fields and as a sentence for people, and the refused row as text."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.contract.kinds import to_base64
from millrace.contract.reasons import Reason

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.contract.schema import Table
    from millrace.errors import DropError

RAW_BYTES = 1024
"""A binary cell of a refused row is kept as base64 up to this length; a longer one as its length and digest."""
RAW_CHARACTERS = 20_000
"""A refused row is kept whole up to this length: a Parquet file of kilobytes may hold gigabytes of texts."""
TEXT_CHARACTERS = (1_000, 100, 0)
"""How many characters of each text of a longer row are kept: the first of these numbers that makes the row short
enough, or the last."""
MOST_VIOLATIONS = 32
"""How many violations are kept of a row with cells of wrong types."""

_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleViolation:
    """One rule that one row breaks."""

    reason: Reason
    column: str | None
    """The column's name; for a key of several columns their names, joined by ", ".

    None for a rule on the whole line or drop."""
    expected: str
    got: str

    @property
    def sentence(self) -> str:
        """For example `demand: expected <= 1, got 17.5`."""
        where = f"{self.column}: " if self.column is not None else ""
        return f"{where}expected {self.expected}, got {self.got}"


def of_line(reason: Reason, expected: str, got: str) -> RuleViolation:
    """The violation of a whole line, which names no column."""
    return RuleViolation(reason=reason, column=None, expected=expected, got=got)


@dataclass(frozen=True, kw_only=True, slots=True)
class QuarantinedRow:
    """One row that is not accepted, or a whole drop that cannot be read as rows."""

    line: int | None
    """The row's line in the drop, counted from 1; None for a whole drop."""
    violations: tuple[RuleViolation, ...]
    """At least one; the first gives the row its reason."""
    key: str = ""
    """The cells of the table's first key, as text; empty if one of them is missing or cannot be read."""
    raw: str
    """The row as JSON, or the text that could not be parsed."""

    @property
    def reason(self) -> Reason:
        return self.violations[0].reason

    @property
    def detail(self) -> str:
        """Every violation, in one line."""
        return "; ".join(violation.sentence for violation in self.violations)


def of_comparison(columns: Sequence[str], expected: str, left: object, right: object) -> RuleViolation:
    """The violation of a row whose cells do not compare as expected: `opened <= closed`."""
    got = f"{truncate(left)} and {truncate(right)}"
    return RuleViolation(reason=Reason.COMPARISON, column=", ".join(columns), expected=expected, got=got)


def whole_drop(error: DropError) -> QuarantinedRow:
    """The record of an object that cannot be read as rows. The object's bytes stay in the landing bucket."""
    return QuarantinedRow(line=None, violations=(of_line(error.reason, error.expected, error.got),), raw="")


def shown(reason: Reason, cell: object) -> str:
    """What came, in words: the value of the cell, or of an image what its header says."""
    if reason == Reason.IMAGE and isinstance(cell, bytes):
        from millrace.contract.rules.image import describe

        return describe(cell)
    return truncate(cell)


def truncate(value: object) -> str:
    """The value in at most 80 characters: strings and bytes in quotes, None as `nothing`."""
    try:
        text = "nothing" if value is None else repr(value) if isinstance(value, str | bytes) else str(value)
    except RecursionError:  # a thread may read a value that another thread, nearer to its own limit, cannot write
        text = "a value nested too deep"
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def raw_rows(rows: pa.Table) -> Iterator[str]:
    """Each row as `raw_row` writes it. Only columns with values that JSON cannot write are converted cell by cell."""
    names = rows.column_names
    # Cells that may be long are converted one at a time: all cells of a part at once take many times the file's memory.
    columns = [
        column.to_pylist() if _is_json(column) else (_plain_cell(cell.as_py()) for cell in column)
        for column in rows.columns
    ]
    return (_encoded(dict(zip(names, cells, strict=True))) for cells in zip(*columns, strict=True))


def _is_json(column: pa.ChunkedArray) -> bool:
    """Whether JSON can write all cells of the column as they are, and no text among them is long."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):
        return math.isfinite(pc.sum(column, min_count=0).as_py())  # a sum is infinite or NaN if a cell is
    if pa.types.is_string(column.type):
        return (pc.max(pc.binary_length(column)).as_py() or 0) <= RAW_CHARACTERS
    return bool(pa.types.is_integer(column.type) or pa.types.is_boolean(column.type))


def key_texts(rows: pa.Table, table: Table) -> list[str]:
    """The key of each of these typed rows, as `QuarantinedRow.key` has it."""
    names = table.keys[0] if table.keys else ()
    return [key_text(cells, table) for cells in rows.select(names).to_pylist()] if names else [""] * rows.num_rows


def key_text(cells: Mapping[str, object], table: Table) -> str:
    """The table's first key of one row in at most 80 characters, such as `a17` or `north, 1997-05-01 00:30:00`.

    `cells` are by the contract's names. Empty if a cell of the key is missing."""
    found = [cells.get(name) for name in (table.keys[0] if table.keys else ())]
    return "" if any(cell is None for cell in found) else _cut(", ".join(str(_plain_cell(cell)) for cell in found))


def raw_row(cells: Mapping[str, object]) -> str:
    """The row as one line of JSON, with text for what JSON cannot write: a time, bytes, NaN.

    The texts of a long row are cut, with their length and digest: the whole row stays in its drop in the landing
    bucket."""
    return _encoded({name: _plain_cell(cell) for name, cell in cells.items()})


def _encoded(cells: Mapping[str, object]) -> str:
    if sum(len(cell) for cell in cells.values() if isinstance(cell, str)) <= RAW_CHARACTERS:
        raw = _JSON.encode(cells)
        if len(raw) <= RAW_CHARACTERS:
            return raw
    # The row is too long: its texts are cut more and more, until it is short enough.
    for most in TEXT_CHARACTERS:
        # In ASCII, a character takes one byte of memory. A single character beyond ASCII could make it four for each.
        raw = json.dumps({name: _shortened(cell, most) for name, cell in cells.items()})
        if len(raw) <= RAW_CHARACTERS:
            break
    return raw


def _shortened(cell: object, most: int) -> object:
    if not isinstance(cell, str) or len(cell) <= most:
        return cell
    digest = hashlib.sha256(cell.encode(errors="backslashreplace")).hexdigest()
    return f"{cell[:most]}… {len(cell)} characters, sha256 {digest}" if most else f"{len(cell)} characters"


def _plain_cell(cell: object) -> object:
    if isinstance(cell, float) and cell - cell != 0:  # NaN or infinite
        return str(cell)
    if cell is None or isinstance(cell, str | int | float | bool):
        return cell
    return _plain_bytes(cell) if isinstance(cell, bytes) else str(cell)


def _plain_bytes(cell: bytes) -> str:
    """The bytes as base64; of a long cell the length and the digest, since its drop stays in the landing bucket."""
    if len(cell) <= RAW_BYTES:
        return to_base64(cell)
    return f"{len(cell)} bytes, sha256 {hashlib.sha256(cell).hexdigest()}"
