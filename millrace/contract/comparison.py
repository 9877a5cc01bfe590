"""A rule on two cells of a row, such as `opened <= closed`: for drops with Arrow, for requests without."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.contract.drop_rules import MEAN_FORM
from millrace.contract.kinds import NUMBERS, Kind

if TYPE_CHECKING:
    import pyarrow as pa


SIGNS: Mapping[str, tuple[Callable[[Any, Any], bool], str]] = {
    "<=": (operator.le, "less_equal"),
    ">=": (operator.ge, "greater_equal"),
    "==": (operator.eq, "equal"),
    "!=": (operator.ne, "not_equal"),
    "<": (operator.lt, "less"),
    ">": (operator.gt, "greater"),
}
"""Each sign in Python, and its function of Arrow."""
FORM = re.compile(rf"\s*(.+?)\s*({'|'.join(SIGNS)})\s*(.+?)\s*")


@dataclass(frozen=True, kw_only=True)
class CellComparison:
    """How two cells of each row compare; a row that lacks one of them keeps the rule."""

    columns: tuple[str, str]
    sign: str

    @property
    def text(self) -> str:
        return f" {self.sign} ".join(self.columns)

    def of_cells(self, left: pa.ChunkedArray, right: pa.ChunkedArray) -> pa.ChunkedArray:
        """A mask of the rows that break the rule; null counts as False."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_floating(left.type) != pa.types.is_floating(right.type):  # Arrow refuses 2 ** 53 + 1 as a float
            left, right = (pc.cast(side, pa.float64(), safe=False) for side in (left, right))
        return pc.invert(pc.call_function(SIGNS[self.sign][1], [left, right]))

    def keeps(self, left: Any, right: Any) -> bool:
        """Whether two cells, as `parse_cell` returns them, keep the rule."""
        if left is None or right is None:
            return True
        if type(left) is not type(right):  # two kinds of numbers
            left, right = float(left), float(right)
        return SIGNS[self.sign][0](left, right)


def read_comparison(text: object, kinds: Mapping[str, Kind]) -> CellComparison:
    """The comparison that a contract with columns of these kinds writes, such as `opened <= closed`.

    Raises ValueError, with what was expected, for another text and for columns that do not compare."""
    form = FORM.fullmatch(text) if isinstance(text, str) else None
    names = form.group(1, 3) if form else ()
    sides = ["number" if kinds[name] in NUMBERS else kinds[name] for name in names if name in kinds]
    if form is None or form[1] == form[3] or len(sides) < 2 or len({*sides} - {"binary", "boolean"}) != 1:
        expected = "two columns of numbers, of one kind of time or of text, which are not generated"
        raise ValueError(f"{expected}, and one of {' '.join(SIGNS)} between them: opened <= closed; or {MEAN_FORM}")
    return CellComparison(columns=(form[1], form[3]), sign=form[2])
