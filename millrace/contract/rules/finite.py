"""A cell of a float column is neither NaN nor infinite."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from millrace.contract.kinds import FLOATS, Kind
from millrace.contract.reasons import Reason
from millrace.contract.rules.rule import Rule

if TYPE_CHECKING:
    from millrace.contract.rules.column_cells import ColumnCells

FINITE, BOUNDED = "a finite number", "a number of float32"


@dataclass(frozen=True)
class Finite(Rule):
    """Every float column has this rule without a declaration. A cell that breaks it is checked by no other rule.

    Models take float32. In a column that they read, a number beyond the range of float32 breaks the rule too."""

    reason: ClassVar[Reason] = Reason.NOT_FINITE
    kinds: ClassVar[tuple[Kind, ...]] = FLOATS
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    is_last: ClassVar[bool] = True

    largest: float = math.inf
    """The largest absolute value that a cell may have; infinite if no model reads the column."""

    def of_cell(self, cell: Any) -> Iterator[str]:
        if not math.isfinite(cell):
            yield FINITE
        elif abs(cell) > self.largest:
            yield BOUNDED

    def of_column(self, cells: ColumnCells) -> Iterator[tuple[str, Any]]:
        import pyarrow.compute as pc

        # The extremes of float64 columns come from one cheap pass; float32 and chunked columns take the slower way.
        is_finite = cells.finite_extremes is not None
        # A sum is infinite or NaN if a cell is. It can also overflow with finite cells: then the mask is all False.
        if not is_finite and not math.isfinite(pc.sum(cells.cells).as_py()):
            yield FINITE, pc.invert(pc.is_finite(cells.cells))
        if math.isinf(self.largest):
            return
        extremes = cells.finite_extremes or tuple(cell.as_py() for cell in cells.extremes)
        if any(abs(cell) > self.largest for cell in extremes):
            yield BOUNDED, pc.and_(pc.is_finite(cells.cells), pc.greater(pc.abs(cells.cells), self.largest))
