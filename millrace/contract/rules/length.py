"""A text has a number of characters, or a binary cell a number of bytes, within bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from millrace.contract.reasons import Reason
from millrace.contract.rules.rule import Rule

if TYPE_CHECKING:
    from millrace.contract.kinds import Kind
    from millrace.contract.rules.column_cells import ColumnCells
    from millrace.contract.rules.declaration import Declaration


@dataclass(frozen=True, kw_only=True)
class Length(Rule):
    """Bounds of a cell's length, both included: of a text in Unicode code points, of a binary cell in bytes."""

    reason: ClassVar[Reason] = Reason.LENGTH
    kinds: ClassVar[tuple[Kind, ...]] = ("string", "binary")
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"logicalTypeOptions": {"minLength": 1, "maxLength": 3}},
        {"logicalTypeOptions": {"maxLength": 0}},
    )

    minimum: int | None = None
    maximum: int | None = None

    @classmethod
    def declared(cls, declaration: Declaration) -> Iterator[Length]:
        minimum, maximum = declaration.take_count("minLength"), declaration.take_count("maxLength")
        if minimum is not None or maximum is not None:
            yield cls(minimum=minimum, maximum=maximum)

    def of_cell(self, cell: Any) -> Iterator[str]:
        if self.minimum is not None and len(cell) < self.minimum:
            yield f">= {self.minimum}"
        if self.maximum is not None and len(cell) > self.maximum:
            yield f"<= {self.maximum}"

    def of_column(self, cells: ColumnCells) -> Iterator[tuple[str, Any]]:
        import pyarrow.compute as pc

        extremes = pc.min_max(cells.lengths).as_py()
        if self.minimum is not None and extremes["min"] < self.minimum:
            yield f">= {self.minimum}", pc.less(cells.lengths, self.minimum)
        if self.maximum is not None and extremes["max"] > self.maximum:
            yield f"<= {self.maximum}", pc.greater(cells.lengths, self.maximum)
