"""The rules on a batch of rows, a column at a time: a look at each column as a whole, masks only where a rule fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.contract.reasons import Reason
from millrace.contract.rules.column_cells import ColumnCells
from millrace.contract.schema import Column, Table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class ColumnViolation:
    """The rows of one batch that break one rule."""

    reason: Reason
    column: str
    expected: str
    rows: Mask
    """One value per row of the batch."""


def check_columns(batch: pa.Table | pa.RecordBatch, table: Table) -> Iterator[ColumnViolation]:
    """Each rule that some rows of `batch` break, in the order of the columns; nothing for a good batch."""
    for column in table.columns if batch.num_rows else ():
        for reason, expected, rows in _check(batch.column(column.name), column):
            if rows.any():
                yield ColumnViolation(reason=reason, column=column.name, expected=expected, rows=rows)


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
        of_rows = rule.judges_missing or indices is None
        for expected, mask in rule.of_column(each if of_rows else values):
            rows = _rows(mask if of_rows else pa.array(mask).take(indices))
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
