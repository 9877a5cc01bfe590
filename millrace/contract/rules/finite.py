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
    """Every float column has it, undeclared; a cell that breaks it is checked by no other rule.

    A model takes float32: of a column that it reads, a number beyond that range is none either."""

    reason: ClassVar[Reason] = Reason.NOT_FINITE
    kinds: ClassVar[tuple[Kind, ...]] = FLOATS
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    is_last: ClassVar[bool] = True

    largest: float = math.inf

    @property
    def expected(self) -> str:
        return "a finite number" if math.isinf(self.largest) else "a finite number of float32"

    def of_cell(self, cell: Any) -> Iterator[str]:
        if not math.isfinite(cell) or abs(cell) > self.largest:
            yield self.expected

    def of_column(self, cells: ColumnCells) -> Iterator[tuple[str, Any]]:
        import pyarrow.compute as pc

        if (extremes := cells.finite_extremes) is not None:
            if max(-extremes[0], extremes[1]) > self.largest:
                yield self.expected, pc.greater(pc.abs(cells.cells), self.largest)
            return
        # A sum is infinite or NaN when a cell is. It can also overflow: then the mask is all False.
        is_bounded = not math.isinf(self.largest) and any(abs(cell.as_py()) > self.largest for cell in cells.extremes)
        if is_bounded or not math.isfinite(pc.sum(cells.cells).as_py()):
            good = pc.and_(pc.is_finite(cells.cells), pc.less_equal(pc.abs(cells.cells), self.largest))
            yield self.expected, pc.invert(good)
