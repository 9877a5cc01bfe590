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


@dataclass(frozen=True)
class Finite(Rule):
    """Every float column has it, undeclared; a cell that breaks it is checked by no other rule."""

    reason: ClassVar[Reason] = Reason.NOT_FINITE
    kinds: ClassVar[tuple[Kind, ...]] = FLOATS
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    is_last: ClassVar[bool] = True

    def of_cell(self, cell: Any) -> Iterator[str]:
        if not math.isfinite(cell):
            yield "a finite number"

    def of_column(self, cells: ColumnCells) -> Iterator[tuple[str, Any]]:
        import pyarrow.compute as pc

        # A sum is infinite or NaN when a cell is. It can also overflow: then the mask is all False.
        if cells.finite_extremes is None and not math.isfinite(pc.sum(cells.cells).as_py()):
            yield "a finite number", pc.invert(pc.is_finite(cells.cells))
