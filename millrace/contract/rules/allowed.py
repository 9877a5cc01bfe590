"""A cell is one of the listed values. Of rows to score another value may come too, unless the list is strict."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from millrace.contract.kinds import INTEGERS, Kind, has_json_type
from millrace.contract.reasons import Reason
from millrace.contract.rules.rule import Rule

if TYPE_CHECKING:
    from millrace.contract.rules.column_cells import ColumnCells
    from millrace.contract.rules.declaration import Declaration


@dataclass(frozen=True)
class Allowed(Rule):
    """A cell must be one of `values`, which are of the column's type and in the order of the contract.

    A row to score may have another one, unless the list is `strict`: a new kind of flat is no mistake. An encoder of
    categories takes it as unknown, and it is counted by column."""

    reason: ClassVar[Reason] = Reason.ALLOWED
    kinds: ClassVar[tuple[Kind, ...]] = (*INTEGERS, "string")
    custom_properties: ClassVar[tuple[str, ...]] = ("strict",)
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"quality": [{"metric": "invalidValues", "arguments": {"validValues": [1, 3, 4]}, "mustBe": 0}]},
        {"quality": [{"metric": "invalidValues", "arguments": {"validValues": [2, 1, 0]}, "mustBe": 0}]},
        {"quality": [{"metric": "invalidValues", "arguments": {"validValues": ["a", "bb", ""]}, "mustBe": 0}]},
        {"enum": ["a"], "customProperties": [{"property": "strict", "value": True}]},
    )

    values: tuple[str | int, ...]
    strict: bool = False
    """Whether rows to score with another value are refused too."""

    @classmethod
    def declared(cls, declaration: Declaration) -> Iterator[Allowed]:
        values, strict = declaration.take("validValues"), declaration.take("strict")
        if strict is not None and (values is None or not isinstance(strict, bool)):
            declaration.refuse("strict", "true or false, beside validValues", strict)
        if values is None:
            return
        good = isinstance(values, list) and all(has_json_type(value, declaration.kind) for value in values)
        if not values or not good:
            declaration.refuse("validValues", f"a list of values of the column's type, {declaration.kind}", values)
        yield cls(tuple(values), strict=bool(strict))

    @property
    def expected(self) -> str:
        return f"one of {', '.join(map(str, self.values))}"

    def of_cell(self, cell: Any) -> Iterator[str]:
        if cell not in self.values:
            yield self.expected

    def of_column(self, cells: ColumnCells) -> Iterator[tuple[str, Any]]:
        import pyarrow as pa
        import pyarrow.compute as pc

        # If the values have no gap, the extremes answer for all cells; else each cell is looked up.
        if pa.types.is_integer(cells.cells.type) and self._is_run(*cells.extremes):
            return
        allowed = pa.array(self.values).cast(cells.cells.type)
        yield self.expected, pc.invert(pc.is_in(cells.cells, value_set=allowed, skip_nulls=True))

    def _is_run(self, low: Any, high: Any) -> bool:
        """Whether the values are integers without a gap, and the lowest and the highest cell lie within them.

        Then every cell is allowed, without a look at each: [2, 0, 1] allows all cells of a column from 0 to 2."""
        first, last = min(self.values), max(self.values)
        gapless = last - first + 1 == len(set(self.values))  # type: ignore[operator]
        return bool(gapless and first <= low.as_py() and high.as_py() <= last)


def read_names(classes: Sequence[str | int | bool], value: object) -> tuple[str, ...]:
    """The names in the order of the classes. Raises ValueError unless each class has one that means no other class.

    A class may be written as JSON has it in a name: the contract of a large drop goes through JSON."""
    told = value if isinstance(value, dict) else {}
    given, texts = (json.loads(json.dumps(one)) for one in (told, dict.fromkeys(classes)))
    meant = [text for pair in given.items() for text in {*pair}]
    is_each = bool(texts) and len(told) == len(given) and given.keys() == texts.keys()
    if not is_each or not all(isinstance(name, str) and name.strip() for name in meant) or len({*meant}) < len(meant):
        each = ", ".join(map(str, classes)) or "of a label with validValues, or of a boolean label"
        raise ValueError(f"one name for each class ({each}), all different, none the value of another class")
    return tuple(given[text] for text in texts)
