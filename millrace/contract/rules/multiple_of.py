"""A number is a multiple of another, for example of 0.05 for prices in steps of five cents."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from millrace.contract.kinds import FLOATS, INTEGERS, Kind, has_json_type, to_float
from millrace.contract.reasons import Reason
from millrace.contract.rules.rule import Rule

if TYPE_CHECKING:
    from millrace.contract.rules.column_cells import ColumnCells
    from millrace.contract.rules.declaration import Declaration

ROUNDING: dict[Kind, float] = {"float32": 2.0**-22, "float64": 2.0**-50}
"""The relative error that a quotient of two rounded numbers may have: 0.3 / 0.1 is 2.9999999999999996, and 0.3 must
pass as a multiple of 0.1."""


@dataclass(frozen=True)
class MultipleOf(Rule):
    """`divisor` is a whole number above 0 on integer columns, and any number above 0 on float columns."""

    reason: ClassVar[Reason] = Reason.MULTIPLE_OF
    kinds: ClassVar[tuple[Kind, ...]] = (*INTEGERS, *FLOATS)
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"logicalTypeOptions": {"multipleOf": 3}},
        {"logicalTypeOptions": {"multipleOf": 0.1}},
    )

    divisor: int | float
    rounding: float = 0.0
    """The relative error that a quotient may have; 0 for integers."""

    @classmethod
    def declared(cls, declaration: Declaration) -> Iterator[MultipleOf]:
        divisor, kind = declaration.take("multipleOf"), declaration.kind
        if divisor is None:
            return
        wanted: Kind = "float64" if kind in FLOATS else "int64"
        if not has_json_type(divisor, wanted) or not 0 < to_float(divisor, "float64") < math.inf:
            what = "a number above 0" if kind in FLOATS else "a whole number above 0"
            declaration.refuse("multipleOf", what, divisor)
        yield cls(divisor, ROUNDING.get(kind, 0.0))

    @property
    def expected(self) -> str:
        return f"a multiple of {self.divisor}"

    def of_cell(self, cell: Any) -> Iterator[str]:
        if not self.rounding:
            good = cell % self.divisor == 0
        else:
            quotient = cell / self.divisor
            good = math.isinf(quotient) or abs(quotient - round(quotient)) <= abs(quotient) * self.rounding
        if not good:
            yield self.expected

    def of_column(self, cells: ColumnCells) -> Iterator[tuple[str, Any]]:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        wide = pa.float64() if self.rounding else pa.int64()
        # A missing cell becomes 0, which is a multiple of every number.
        numbers = pc.fill_null(pc.cast(cells.cells, wide), 0).to_numpy(zero_copy_only=False)
        if not self.rounding:
            wrong = numbers % self.divisor != 0
        else:
            with np.errstate(all="ignore"):  # the rule Finite has judged NaN and infinite cells before
                quotients = numbers / self.divisor
                distances = np.abs(quotients - np.rint(quotients))
            wrong = ~(np.isinf(quotients) | (distances <= np.abs(quotients) * self.rounding))
        if wrong.any():
            yield self.expected, wrong
