"""A cell of the column must have a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from millrace.contract.kinds import KINDS, Kind
from millrace.contract.reasons import Reason
from millrace.contract.rules.rule import Rule

if TYPE_CHECKING:
    from millrace.contract.rules.column_cells import ColumnCells


@dataclass(frozen=True)
class Required(Rule):
    """Every column with `Column.required` has this rule.

    The loader sets `Column.required` for `required`, `primaryKey` and the metric `nullValues`."""

    reason: ClassVar[Reason] = Reason.REQUIRED
    kinds: ClassVar[tuple[Kind, ...]] = KINDS
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"required": True},
        {"quality": [{"type": "library", "metric": "nullValues", "mustBe": 0}]},
    )
    judges_missing: ClassVar[bool] = True

    def of_cell(self, cell: Any) -> Iterator[str]:
        if cell is None:
            yield "a value"

    def of_column(self, cells: ColumnCells) -> Iterator[tuple[str, Any]]:
        import pyarrow.compute as pc

        if cells.cells.null_count:
            yield "a value", pc.is_null(cells.cells)
