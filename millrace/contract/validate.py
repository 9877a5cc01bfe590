"""Rows against their contract: each is accepted, or refused with every rule that it breaks; none is lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.contract.deduplicate import Keys, Seen, decoded, duplicates, key_of, repeated
from millrace.contract.reasons import Reason
from millrace.contract.rules.column_cells import ColumnCells
from millrace.contract.rules.image import ImageFormat
from millrace.contract.rules.image_end import is_cut_off
from millrace.contract.schema import LINE, Column, Table, parsed_schema
from millrace.contract.violation import QuarantinedRow, RuleViolation, key_texts, raw_rows, shown

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Mask = npt.NDArray[np.bool_]

Problems = defaultdict[int, list[RuleViolation]]
"""By position of the row."""


@dataclass(frozen=True, kw_only=True)
class ColumnViolation:
    """The rows of one batch that break one rule."""

    reason: Reason
    column: str
    expected: str
    rows: Mask
    """One value per row of the batch."""


@dataclass(frozen=True, kw_only=True)
class ValidationResult:
    """Every row of a part of a drop: `accepted.num_rows + len(refused)` is their number."""

    accepted: pa.Table
    """The contract's columns and `_line`, in the order of the drop."""
    refused: tuple[QuarantinedRow, ...]


def validate(rows: pa.Table, table: Table, *, held: tuple[Keys, ...] = (), decodes: bool = False) -> ValidationResult:
    """The result for a whole drop in memory: `rows` are the contract's columns and `_line`.

    A row that breaks a rule on its cells does not use up its key: the next row with that key may be accepted.
    Of rows with the same key the first in the drop is accepted; `held` are keys that the table has already."""
    result = Validator(table, held=held, decodes=decodes).judge(rows)
    violation = wrong_row_count(result.accepted.num_rows, table)
    return refuse_all(result, violation, table) if violation else result


class Validator:
    """Validates a drop part after part; it keeps the keys only, so memory does not grow with the rows."""

    def __init__(self, table: Table, *, held: tuple[Keys, ...] = (), decodes: bool = False) -> None:
        """With `decodes` an image is refused for its data too, by the decoder of the models, and not only for its
        header: that needs Pillow."""
        self._table, self._decodes = table, decodes
        self._held = {keys.columns: keys for keys in held}
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
        for row, violation in undecodable(rows, good, self._table) if self._decodes else ():
            problems[row].append(violation)
            good[row] = False
        numbers = {key: seen.number(key_of(rows, key), good) for key, seen in self._seen.items()}
        is_alone = len(numbers) == 1
        for key, seen in self._seen.items():
            known = self._held.get(key)
            again = duplicates(rows, good, key, known, seen, numbers[key], is_alone=is_alone)
            for row, violation in again.items():
                problems[row].append(violation)
                good[row] = False
        for row, violation in {} if is_alone else repeated(rows, good, numbers).items():
            problems[row].append(violation)
            good[row] = False
        accepted = _take(rows, good)
        for key, seen in self._seen.items():
            seen.accept(numbers[key].take(np.flatnonzero(good)), accepted.column(LINE))
        return ValidationResult(accepted=decoded(accepted), refused=_refuse(rows, problems, self._table))


def refuse_all(result: ValidationResult, violation: RuleViolation, table: Table) -> ValidationResult:
    """The same rows, those that were accepted refused for what `wrong_row_count` found."""
    problems = {row: [violation] for row in range(result.accepted.num_rows)}
    refused = sorted((*result.refused, *_refuse(result.accepted, problems, table)), key=lambda row: row.line or 0)
    return ValidationResult(accepted=result.accepted.slice(0, 0), refused=tuple(refused))


def refuse_known(rows: pa.Table, table: Table, held: tuple[Keys, ...]) -> ValidationResult:
    """The result for rows that were valid before the table got the keys `held`: only these keys are compared."""
    import numpy as np

    good = np.ones(rows.num_rows, dtype=bool)
    problems: Problems = defaultdict(list)
    for keys in held:
        seen = Seen()
        numbers = seen.number(key_of(rows, keys.columns), good)
        for row, violation in duplicates(rows, good, keys.columns, keys, seen, numbers).items():
            problems[row].append(violation)
            good[row] = False
    return ValidationResult(accepted=_take(rows, good), refused=_refuse(rows, problems, table))


def wrong_row_count(accepted: int, table: Table) -> RuleViolation | None:
    """What is wrong with this number of good rows; None where it is within the contract's bounds."""
    most = table.maximum_rows
    if accepted >= table.minimum_rows and (most is None or accepted <= most):
        return None
    bounds = f"{table.minimum_rows} rows or more" if most is None else f"{table.minimum_rows} to {most} rows"
    return RuleViolation(reason=Reason.ROW_COUNT, column=None, expected=bounds, got=f"{accepted} good rows")


def check_columns(batch: pa.Table | pa.RecordBatch, table: Table) -> Iterator[ColumnViolation]:
    """Each rule that some rows of `batch` break, in the order of the columns; nothing for a good batch."""
    for column in table.columns if batch.num_rows else ():
        for reason, expected, rows in _check(batch.column(column.name), column):
            if rows.any():
                yield ColumnViolation(reason=reason, column=column.name, expected=expected, rows=rows)


def undecodable(rows: pa.Table, good: Mask, table: Table) -> Iterator[tuple[int, RuleViolation]]:
    """Those of the `good` rows with an image whose header keeps the contract and whose data are none."""
    import numpy as np

    for column in table.columns:
        rule = column.find(ImageFormat)
        if rule is None or rule.encoding == "raw":
            continue
        cells = rows.column(column.name)
        for row in np.flatnonzero(good).tolist():
            if cells[row].is_valid and (expected := rule.undecodable(cells[row].as_buffer())):
                data = memoryview(cells[row].as_buffer()).cast("B")
                why = "cut off" if is_cut_off(data) else "cut off, altered or transparent"
                got = f"{len(data)} bytes that are {why}"
                yield row, RuleViolation(reason=rule.reason, column=column.name, expected=expected, got=got)


def _check(cells: Any, column: Column) -> Iterator[tuple[Reason, str, Mask]]:
    """A text column with a dictionary is judged by its dictionary: each word once, however many rows have it."""
    import pyarrow as pa

    whole = pa.concat_arrays(cells.chunks) if pa.types.is_dictionary(cells.type) and _is_chunked(cells) else cells
    indices = whole.indices if pa.types.is_dictionary(whole.type) else None
    each, values = ColumnCells(whole), ColumnCells(whole if indices is None else whole.dictionary)
    judged: Mask | None = None  # rows that a further rule may judge; None for all
    for rule in column.checks:
        if not rule.judges_missing and whole.null_count == len(whole):
            return
        words = None if rule.judges_missing else indices
        for expected, mask in rule.of_column(each if words is None else values):
            rows = _rows(mask)
            if not rows.any():
                continue
            if words is not None:
                rows = rows[words.fill_null(0).to_numpy(zero_copy_only=False)]
            if whole.null_count and not rule.judges_missing:
                rows = rows & _rows(whole.is_valid())
            if judged is not None:
                rows = rows & judged
            yield rule.reason, expected, rows
            if rule.is_last:
                judged = ~rows if judged is None else judged & ~rows


def _is_chunked(cells: Any) -> bool:
    import pyarrow as pa

    return isinstance(cells, pa.ChunkedArray)


def _rows(mask: Any) -> Mask:
    """The mask as numpy, null as False."""
    import numpy as np
    import pyarrow.compute as pc

    if isinstance(mask, np.ndarray):
        return mask
    return np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False), dtype=bool)


def _note(problems: Problems, rows: pa.Table, found: ColumnViolation) -> None:
    import numpy as np

    at = np.flatnonzero(found.rows)
    for row, cell in zip(at.tolist(), rows.column(found.column).take(at).to_pylist(), strict=True):
        problems[row].append(
            RuleViolation(
                reason=found.reason, column=found.column, expected=found.expected, got=shown(found.reason, cell)
            )
        )


def _refuse(rows: pa.Table, problems: Mapping[int, list[RuleViolation]], table: Table) -> tuple[QuarantinedRow, ...]:
    if not problems:
        return ()
    order = sorted(problems)
    bad = decoded(rows.take(order))
    lines, keys = bad.column(LINE).to_pylist(), key_texts(bad, table)
    return tuple(
        QuarantinedRow(line=line, violations=tuple(problems[at]), key=key, raw=raw)
        for at, line, key, raw in zip(order, lines, keys, raw_rows(bad.drop_columns([LINE])), strict=True)
    )


def _take(rows: pa.Table, good: Mask) -> pa.Table:
    import pyarrow as pa

    return rows if good.all() else rows.filter(pa.array(good))
