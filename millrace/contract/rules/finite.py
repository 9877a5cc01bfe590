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
    """Every float column has it, undeclared; a cell that breaks it is checked by no other rule.

    A model takes float32: of a column that it reads, a number beyond that range is none either."""

    reason: ClassVar[Reason] = Reason.NOT_FINITE
    kinds: ClassVar[tuple[Kind, ...]] = FLOATS
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    is_last: ClassVar[bool] = True

    largest: float = math.inf

    def of_cell(self, cell: Any) -> Iterator[str]:
        if not math.isfinite(cell):
            yield FINITE
        elif abs(cell) > self.largest:
            yield BOUNDED

    def of_column(self, cells: ColumnCells) -> Iterator[tuple[str, Any]]:
        import pyarrow.compute as pc

        is_finite = cells.finite_extremes is not None
        # A sum is infinite or NaN when a cell is. It can also overflow: then the mask is all False.
        if not is_finite and not math.isfinite(pc.sum(cells.cells).as_py()):
            yield FINITE, pc.invert(pc.is_finite(cells.cells))
        if math.isinf(self.largest):
            return
        extremes = cells.finite_extremes or tuple(cell.as_py() for cell in cells.extremes)
        if any(abs(cell) > self.largest for cell in extremes):
            yield BOUNDED, pc.and_(pc.is_finite(cells.cells), pc.greater(pc.abs(cells.cells), self.largest))
