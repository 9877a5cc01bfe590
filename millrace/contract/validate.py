"""Judges rows by their contract: each row is accepted, or refused with every rule that it breaks. None is lost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from millrace.contract.deduplicate import Keys, Repeated, SeenKeys, decoded, duplicates, key_of, repeated, repeats
from millrace.contract.drop_rules import INVALID, MEAN, NULL, Totals
from millrace.contract.reasons import Reason
from millrace.contract.rules.column_cells import ColumnCells
from millrace.contract.rules.image import ImageFormat
from millrace.contract.rules.image_end import is_cut_off
from millrace.contract.rules.pixels import decode
from millrace.contract.schema import LINE, Column, Table, parsed_schema
from millrace.contract.violation import QuarantinedRow, RuleViolation, key_texts, of_comparison, raw_rows, shown

Mask = npt.NDArray[np.bool_]

Problems = defaultdict[int, list[RuleViolation]]
"""The violations of the bad rows, by the position of the row in its part."""


@dataclass(frozen=True, kw_only=True)
class ValidationResult:
    """Every row of a part of a drop: a part has `accepted.num_rows + len(refused)` rows."""

    accepted: pa.Table
    """The contract's columns and `_line`, in the order of the drop."""
    refused: tuple[QuarantinedRow, ...]


def validate(rows: pa.Table, table: Table, *, held: tuple[Keys, ...] = (), decodes: bool = False) -> ValidationResult:
    """The result for a whole drop in memory. `rows` has the contract's columns and `_line`.

    `held` are keys that the table has already. Of several rows with the same key the first is accepted. A row that
    breaks a rule on its cells does not use up its key: the next row with that key may be accepted."""
    return Validator(table, held=held, decodes=decodes).judge(rows)


class Validator:
    """Judges a drop part after part. It keeps the keys of the rows and no other cells, so memory grows little."""

    def __init__(
        self, table: Table, *, held: tuple[Keys, ...] = (), decodes: bool = False, repeated: Repeated | None = None
    ) -> None:
        """With `decodes` images are also decoded, by the models' decoder, and refused if that fails; it needs Pillow.

        Without it only their length and header are checked. With `repeated` no keys are compared: it has those of all
        rows whose key came before."""
        self._table, self._decodes, self._repeated = table, decodes, repeated or {}
        self._held = {keys.columns: keys for keys in held}
        self._seen = {key: SeenKeys() for key in table.keys} if repeated is None else {}

    def judge(self, rows: pa.Table) -> ValidationResult:
        """The result for the next part.

        A text column may be dictionary-encoded; its rules are then cheaper."""
        rows, made = derived(rows.select(parsed_schema(self._table).names).combine_chunks(), self._table)
        problems: Problems = defaultdict(list)
        # The rules on cells come first: a row that breaks one does not use up its key.
        for row, violation in _broken(rows, self._table):
            problems[row].append(violation)
        good = np.ones(rows.num_rows, dtype=bool)
        good[list(problems)] = False
        for row, violation in compared(rows, good, self._table, made):
            problems[row].append(violation)
        good[list(problems)] = False
        for row, violation in undecodable(rows, good, self._table) if self._decodes else ():
            problems[row].append(violation)
            good[row] = False
        for row in np.flatnonzero(np.isin(rows.column(LINE), list(self._repeated))).tolist():
            problems[row].append(repeats(rows, row, *self._repeated[rows.column(LINE)[row].as_py()]))
            good[row] = False
        # Then the keys: first the rows with keys of the table and of earlier parts are refused, then repeats within the
        # part. `repeated` compares all keys in one walk over the rows: a row that is refused for one key must not use
        # up another. A label that the table holds does: a second label of the key in this file corrects nothing.
        numbers = {key: seen.number(key_of(rows, key), good) for key, seen in self._seen.items()}
        counts = good.copy()
        for key, seen in self._seen.items():
            known = self._held.get(key)
            for row, violation in duplicates(rows, good, key, known, seen, numbers[key]).items():
                problems[row].append(violation)
                good[row], counts[row] = False, counts[row] and known is not None and bool(known.beside)
        for row, violation in repeated(rows, counts, numbers).items() if numbers else ():
            problems[row] += [violation] if good[row] else []
            good[row], counts[row] = False, False
        accepted = rows if good.all() else rows.filter(pa.array(good))
        lines = rows.column(LINE).to_numpy()
        for key, seen in self._seen.items():
            seen.accept(numbers[key][counts], lines[counts])
        return ValidationResult(accepted=decoded(accepted), refused=refuse(rows, problems, self._table))


def totals_of(result: ValidationResult, table: Table) -> Totals:
    """The totals of a part of a drop for the table's rules."""
    rows, refused = result.accepted, result.refused
    totals = Totals({"good": rows.num_rows, "every": rows.num_rows + len(refused)})
    for column in {rule.column for rule in table.drop_rules} - {""}:
        totals[f"{NULL} {column}"] = rows[column].null_count
        totals[f"{INVALID} {column}"] = sum(any(one.column == column for one in row.violations) for row in refused)
    for column in {rule.column for rule in table.drop_rules if rule.metric == MEAN}:
        totals[f"sum {column}"] = pc.sum(pc.cast(rows[column], pa.float64())).as_py() or 0
    return totals


def _broken(rows: pa.Table, table: Table) -> Iterator[tuple[int, RuleViolation]]:
    """The position of each row and each rule of a column that it breaks, in the order of the columns."""
    for column in table.columns if rows.num_rows else ():
        cells = rows.column(column.name)
        for reason, expected, mask in _check(cells, column):
            at = np.flatnonzero(mask)
            for row, cell in zip(at.tolist(), cells.take(at).to_pylist(), strict=True):
                yield row, RuleViolation(reason=reason, column=column.name, expected=expected, got=shown(reason, cell))


def derived(rows: pa.Table, table: Table) -> tuple[pa.Table, dict[str, pa.Array]]:
    """The rows with derived cells where they have none, and what each derived column must hold."""
    made: dict[str, pa.Array] = {}
    for name, expression in table.derived.items():
        place, made[name] = rows.column_names.index(name), expression.of_rows(rows)
        rows = rows.set_column(place, rows.schema.field(place), pc.coalesce(rows.column(name), made[name]))
    return rows, made


def compared(
    rows: pa.Table, good: Mask, table: Table, made: Mapping[str, pa.Array]
) -> Iterator[tuple[int, RuleViolation]]:
    """The position and each violation of the good rows whose cells do not compare as the contract says.

    `made` is what the derived columns must hold."""
    for rule in table.comparisons:
        cells = decoded(rows.select(rule.columns))
        at = np.flatnonzero(_rows(rule.of_cells(*cells.columns)) & good)
        for row, sides in zip(at.tolist(), cells.take(at).to_pylist(), strict=True):
            yield row, of_comparison(rule.columns, rule.text, *sides.values())
    for name, cells in made.items():
        brought = rows.column(name)
        is_unlike = pc.invert(pc.fill_null(pc.equal(brought, cells), False))
        for row in np.flatnonzero(_rows(pc.and_(pc.is_valid(brought), is_unlike)) & good).tolist():
            expected = f"{name} == {table.derived[name].text}"
            yield row, of_comparison([name], expected, brought[row].as_py(), cells[row].as_py())


def unlisted(rows: pa.Table, table: Table) -> Counter[str]:
    """How many cells of each column have a value outside of the contract's list, where such values are taken."""
    found = Counter[str]()
    for column, rule in table.open_lists if rows.num_rows else ():
        one = replace(column, required=False, rules=(rule,), takes_unlisted=False)
        cells = sum(int(mask.sum()) for _, _, mask in _check(rows.column(column.name), one))
        found.update({column.name: cells} if cells else {})
    return found


def undecodable(rows: pa.Table, good: Mask, table: Table) -> Iterator[tuple[int, RuleViolation]]:
    """The position and the violation of each good row with an image that cannot be decoded.

    The headers of these images keep the contract. An image of the encoding `raw` has nothing to decode."""
    for column in table.columns:
        rule = column.find(ImageFormat)
        if rule is None or rule.encoding == "raw":
            continue
        cells = rows.column(column.name)
        for row in np.flatnonzero(good & _rows(cells.is_valid())).tolist():
            data = memoryview(cells[row].as_buffer()).cast("B")
            try:
                decode(data, rule.encoding, rule.shape)
            except ValueError as error:
                why = "cut off" if is_cut_off(data) else "cut off, altered or transparent"
                got = f"{len(data)} bytes that are {why}"
                yield row, RuleViolation(reason=rule.reason, column=column.name, expected=str(error), got=got)


def _check(cells: Any, column: Column) -> Iterator[tuple[Reason, str, Mask]]:
    """For each rule that cells break: the reason, what was expected, and which rows.

    A dictionary-encoded column is judged by its dictionary: each word once, however many rows have it."""
    is_chunked = isinstance(cells, pa.ChunkedArray)
    whole = pa.concat_arrays(cells.chunks) if pa.types.is_dictionary(cells.type) and is_chunked else cells
    indices = whole.indices if pa.types.is_dictionary(whole.type) else None
    each, values = ColumnCells(whole), ColumnCells(whole if indices is None else whole.dictionary)
    judged: Mask | None = None  # the rows that further rules judge; None for all
    for rule in column.checks:
        if not rule.judges_missing and whole.null_count == len(whole):
            return
        words = None if rule.judges_missing else indices
        for expected, mask in rule.of_column(each if words is None else values):
            rows = _rows(mask)
            if not rows.any():
                continue
            # From a mask of words to one of rows. A missing cell gets the first word's verdict, which is erased next.
            if words is not None:
                rows = rows[words.fill_null(0).to_numpy(zero_copy_only=False)]
            if whole.null_count and not rule.judges_missing:
                rows = rows & _rows(whole.is_valid())
            if judged is not None:
                rows = rows & judged
            yield rule.reason, expected, rows
            if rule.is_last:
                judged = ~rows if judged is None else judged & ~rows


def _rows(mask: Any) -> Mask:
    """The mask as a numpy array, with False for null."""
    if isinstance(mask, np.ndarray):
        return mask
    return np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False), dtype=bool)


def refuse(rows: pa.Table, problems: Mapping[int, list[RuleViolation]], table: Table) -> tuple[QuarantinedRow, ...]:
    """The rows at the positions that have violations, as the quarantine keeps them."""
    if not problems:
        return ()
    # Only the refused rows are decoded and written as text.
    order = sorted(problems)
    bad = decoded(rows.take(order))
    lines, keys = bad.column(LINE).to_pylist(), key_texts(bad, table)
    # Without derived cells, which whoever mends the row would have to mend too.
    bad = bad.drop_columns([LINE, *table.derived])
    return tuple(
        QuarantinedRow(line=line, violations=tuple(problems[at]), key=key, raw=raw)
        for at, line, key, raw in zip(order, lines, keys, raw_rows(bad), strict=True)
    )
