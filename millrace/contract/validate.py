"""Rows against their contract: each is accepted, or refused with every rule that it breaks; none is lost."""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.contract.arrow import LINE, parsed_schema
from millrace.contract.cells import to_base64
from millrace.contract.column import ColumnViolation, check_columns
from millrace.contract.deduplicate import Seen, in_order, repeats
from millrace.contract.reasons import Reason
from millrace.contract.schema import Table
from millrace.contract.violation import QuarantinedRow, RuleViolation, truncate

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Mask = npt.NDArray[np.bool_]

Problems = defaultdict[int, list[RuleViolation]]
"""By position of the row."""

RAW_BYTES = 1024
"""A binary cell of a refused row is kept as text up to this length."""

_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True, kw_only=True)
class ValidationResult:
    """Every row of a part of a drop: `accepted.num_rows + len(refused)` is their number."""

    accepted: pa.Table
    """The contract's columns and `_line`, in the order of the drop."""
    refused: tuple[QuarantinedRow, ...]


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The keys that a table already holds, for one set of columns."""

    columns: tuple[str, ...]
    values: pa.Array
    """As `key_of` makes them."""


def validate(rows: pa.Table, table: Table, *, held: tuple[Keys, ...] = ()) -> ValidationResult:
    """The result for a whole drop in memory: `rows` are the contract's columns and `_line`.

    A row that breaks a rule on its cells does not use up its key: the next row with that key may be accepted.
    Of rows with the same key the first in the drop is accepted; `held` are keys that the table has already."""
    result = Validator(table, held=held).judge(rows)
    violation = wrong_row_count(result.accepted.num_rows, table)
    return refuse_all(result, violation) if violation else result


class Validator:
    """Validates a drop part after part; it keeps the keys only, so memory does not grow with the rows."""

    def __init__(self, table: Table, *, held: tuple[Keys, ...] = ()) -> None:
        self._table = table
        self._held = {keys.columns: keys.values for keys in held}
        self._seen = {key: Seen() for key in table.keys}

    def judge(self, rows: pa.Table) -> ValidationResult:
        """The result for the next part; `wrong_row_count` checks the number of rows at the end.

        A text column may be dictionary-encoded: its rules are cheaper then."""
        import numpy as np

        rows = rows.select(parsed_schema(self._table).names).combine_chunks()
        problems: Problems = defaultdict(list)
        for found in check_columns(rows, self._table):
            _note(problems, rows, found)
        good = np.ones(rows.num_rows, dtype=bool)
        good[list(problems)] = False
        for key, seen in self._seen.items():
            for row, violation in duplicates(rows, good, key, self._held.get(key), seen).items():
                problems[row].append(violation)
                good[row] = False
        accepted = _decoded(_take(rows, good))
        for key, seen in self._seen.items():
            seen.add(key_of(accepted, key), _flat(accepted.column(LINE)))
        return ValidationResult(accepted=accepted, refused=_refuse(rows, problems))


def refuse_all(result: ValidationResult, violation: RuleViolation) -> ValidationResult:
    """The same rows, those that were accepted refused for what `wrong_row_count` found."""
    problems = {row: [violation] for row in range(result.accepted.num_rows)}
    refused = sorted((*result.refused, *_refuse(result.accepted, problems)), key=lambda row: row.line or 0)
    return ValidationResult(accepted=result.accepted.slice(0, 0), refused=tuple(refused))


def refuse_known(rows: pa.Table, held: tuple[Keys, ...]) -> ValidationResult:
    """The result for rows that were valid before the table got the keys `held`: only these keys are compared."""
    import numpy as np

    good = np.ones(rows.num_rows, dtype=bool)
    problems: Problems = defaultdict(list)
    for keys in held:
        for row, violation in duplicates(rows, good, keys.columns, keys.values).items():
            problems[row].append(violation)
            good[row] = False
    return ValidationResult(accepted=_take(rows, good), refused=_refuse(rows, problems))


def wrong_row_count(accepted: int, table: Table) -> RuleViolation | None:
    """What is wrong with this number of good rows; None where it is within the contract's bounds."""
    most = table.maximum_rows
    if accepted >= table.minimum_rows and (most is None or accepted <= most):
        return None
    bounds = f"{table.minimum_rows} rows or more" if most is None else f"{table.minimum_rows} to {most} rows"
    return RuleViolation(reason=Reason.ROW_COUNT, column=None, expected=bounds, got=f"{accepted} good rows")


def key_of(rows: pa.Table, columns: tuple[str, ...]) -> pa.Array:
    """One value per row that is equal where the key columns are: the column itself, or their texts joined.

    A text is preceded by its length, so that ("a", "bc") and ("ab", "c") differ. Null where a part is null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = _decoded(rows.select(list(columns)))
    if len(columns) == 1:
        return _flat(rows.column(0))
    parts: list[Any] = []
    for name in columns:
        text = pc.cast(rows.column(name), pa.string())
        parts += [pc.cast(pc.utf8_length(text), pa.string()), text]
    return _flat(pc.binary_join_element_wise(*parts, ":"))


def duplicates(
    rows: pa.Table, good: Mask, key: tuple[str, ...], known: pa.Array | None, seen: Seen | None = None
) -> dict[int, RuleViolation]:
    """What is wrong with each good row whose key is in the table or stands in an earlier row; by position."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    positions, keys = np.flatnonzero(good), key_of(rows, key)
    if len(positions) < rows.num_rows:
        keys = keys.filter(pa.array(good))
    found: dict[int, str] = {}  # by position among the good rows: where the key was before
    if known is not None and len(known):
        for at in np.flatnonzero(_plain(pc.is_in(keys, value_set=known.drop_null(), skip_nulls=True))).tolist():
            found[at] = "which the table holds"
    ordered = in_order(keys)
    for at, line in seen.find(keys, ordered) if seen else ():
        found.setdefault(at, f"first on line {line}")
    for at, first in repeats(keys, ordered):
        if at not in found:
            found[at] = f"first on line {rows.column(LINE)[int(positions[first])].as_py()}"
    name = ", ".join(key)
    return {
        int(positions[at]): RuleViolation(
            reason=Reason.DUPLICATE_KEY,
            column=name,
            expected="a new key",
            got=f"{truncate(keys[at].as_py())}, {where}",
        )
        for at, where in found.items()
    }


def _note(problems: Problems, rows: pa.Table, found: ColumnViolation) -> None:
    import numpy as np

    at = np.flatnonzero(found.rows)
    for row, cell in zip(at.tolist(), rows.column(found.column).take(at).to_pylist(), strict=True):
        problems[row].append(
            RuleViolation(reason=found.reason, column=found.column, expected=found.expected, got=truncate(cell))
        )


def _refuse(rows: pa.Table, problems: Mapping[int, list[RuleViolation]]) -> tuple[QuarantinedRow, ...]:
    if not problems:
        return ()
    order = sorted(problems)
    bad = _decoded(rows.take(order))
    lines = bad.column(LINE).to_pylist()
    return tuple(
        QuarantinedRow(line=line, violations=tuple(problems[at]), raw=raw)
        for at, line, raw in zip(order, lines, _raw_rows(bad.drop_columns([LINE])), strict=True)
    )


def _raw_rows(rows: pa.Table) -> Iterator[str]:
    """Each row as `raw_row` writes it; only columns with values that JSON cannot write are converted cell by cell."""
    names = rows.column_names
    columns = [
        column.to_pylist() if _is_json(column) else map(_plain_cell, column.to_pylist()) for column in rows.columns
    ]
    return (_JSON.encode(dict(zip(names, cells, strict=True))) for cells in zip(*columns, strict=True))


def _is_json(column: pa.ChunkedArray) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):
        return math.isfinite(pc.sum(column, min_count=0).as_py())
    return bool(pa.types.is_integer(column.type) or pa.types.is_string(column.type) or pa.types.is_boolean(column.type))


def raw_row(cells: Mapping[str, object]) -> str:
    """The row as one line of JSON; what JSON cannot write (a time, bytes, NaN) as text."""
    return _JSON.encode({name: _plain_cell(cell) for name, cell in cells.items()})


def _plain_cell(cell: object) -> object:
    if isinstance(cell, float) and cell - cell != 0:
        return str(cell)
    if cell is None or isinstance(cell, str | int | float | bool):
        return cell
    return _plain_bytes(cell) if isinstance(cell, bytes) else str(cell)


def _plain_bytes(cell: bytes) -> str:
    """Base64; of a long cell its length and digest, since its drop stays in the landing bucket."""
    if len(cell) <= RAW_BYTES:
        return to_base64(cell)
    return f"{len(cell)} bytes, sha256 {hashlib.sha256(cell).hexdigest()}"


def _decoded(rows: pa.Table) -> pa.Table:
    """The rows with dictionary-encoded texts as plain ones."""
    import pyarrow as pa

    for place, kind in enumerate(rows.schema.types):
        if pa.types.is_dictionary(kind):
            rows = rows.set_column(place, rows.field(place).name, rows.column(place).cast(kind.value_type))
    return rows


def _take(rows: pa.Table, good: Mask) -> pa.Table:
    import pyarrow as pa

    return rows if good.all() else rows.filter(pa.array(good))


def _flat(column: Any) -> Any:
    return column.combine_chunks() if hasattr(column, "combine_chunks") else column


def _plain(mask: Any) -> Any:
    return mask.to_numpy(zero_copy_only=False)
