"""A number, a date or a timestamp lies within bounds."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from millrace.contract.kinds import FLOATS, INTEGERS, TIMES, Kind, has_json_type, parse_cell
from millrace.contract.reasons import Reason
from millrace.contract.rules.finite import Finite
from millrace.contract.rules.required import Required
from millrace.contract.rules.rule import Rule

if TYPE_CHECKING:
    from millrace.contract.rules.column_cells import ColumnCells
    from millrace.contract.rules.declaration import Declaration

Bound = int | float | date | datetime
EXACT = 2**53
"""Below this number every whole number has a float64 of its own."""


@dataclass(frozen=True, kw_only=True)
class Range(Rule):
    """Bounds in the column's type: whole numbers on integers, and times in UTC on `timestamp_utc`."""

    reason: ClassVar[Reason] = Reason.RANGE
    kinds: ClassVar[tuple[Kind, ...]] = (*INTEGERS, *FLOATS, *TIMES)
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"logicalTypeOptions": {"minimum": 0, "maximum": 100}},
        {"logicalTypeOptions": {"exclusiveMinimum": -1, "exclusiveMaximum": 2**24 + 1}},
        {"logicalTypeOptions": {"minimum": 0.1}},
        {"logicalTypeOptions": {"minimum": "2020-01-02", "exclusiveMaximum": "2020-02-01"}},
        {"logicalTypeOptions": {"minimum": "2020-01-02T12:00:00+02:00", "maximum": "2020-01-03T00:00Z"}},
    )

    minimum: Bound | None = None
    maximum: Bound | None = None
    exclusive_minimum: Bound | None = None
    exclusive_maximum: Bound | None = None

    @classmethod
    def declared(cls, declaration: Declaration) -> Iterator[Range]:
        words = {
            "minimum": "minimum",
            "maximum": "maximum",
            "exclusiveMinimum": "exclusive_minimum",
            "exclusiveMaximum": "exclusive_maximum",
        }
        bounds = {field: _read_bound(declaration, word) for word, field in words.items()}
        if any(bound is not None for bound in bounds.values()):
            yield cls(**bounds)

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest number that the bounds allow, infinite without one; an excluded bound counts as
        allowed, since no float is next to it in every type."""
        low, high = (self.minimum, self.exclusive_minimum), (self.maximum, self.exclusive_maximum)
        lows = [float(bound) for bound in low if isinstance(bound, int | float)]
        highs = [float(bound) for bound in high if isinstance(bound, int | float)]
        return max(lows, default=-math.inf), min(highs, default=math.inf)

    def of_cell(self, cell: Any) -> Iterator[str]:
        for symbol, bound, breaks, _, _ in self._comparisons:
            if breaks(cell, bound):
                yield f"{symbol} {bound}"

    def of_column(self, cells: ColumnCells) -> Iterator[tuple[str, Any]]:
        """As `Rule.of_column`. The extremes are compared first; a mask is made only for a bound that a cell breaks."""
        import pyarrow as pa
        import pyarrow.compute as pc

        kind = cells.cells.type
        if pa.types.is_floating(kind):
            kind = pa.float64()  # Arrow would round a whole bound to float32; every float32 is a float64
        elif pa.types.is_integer(kind):
            kind = pa.int64()
        for symbol, bound, breaks, compare, at in self._comparisons:
            limit = pa.scalar(bound, kind)
            fails = getattr(pc, compare)
            quick = cells.finite_extremes
            if breaks(quick[at], bound) if quick else fails(cells.extremes[at], limit).as_py():
                yield f"{symbol} {bound}", fails(cells.cells, limit)

    @cached_property
    def _comparisons(self) -> tuple[tuple[str, Bound, Callable[[Any, Any], bool], str, int], ...]:
        """For each bound: its symbol, the bound, the comparison that breaks it in Python and in Arrow, and the extreme.

        The extreme is the one that can break it: 0 for the lowest cell, 1 for the highest."""
        comparisons = (
            (">=", self.minimum, operator.lt, "less", 0),
            ("<=", self.maximum, operator.gt, "greater", 1),
            (">", self.exclusive_minimum, operator.le, "less_equal", 0),
            ("<", self.exclusive_maximum, operator.ge, "greater_equal", 1),
        )
        return tuple(
            (symbol, bound, breaks, compare, at)
            for symbol, bound, breaks, compare, at in comparisons
            if bound is not None
        )


def _read_bound(declaration: Declaration, word: str) -> Bound | None:
    """The bound in the column's type, None if it is not declared. Raises WorkloadError for a value of another type."""
    value, kind = declaration.take(word), declaration.kind
    if value is None:
        return None
    try:
        if kind in TIMES:
            bound: Bound = parse_cell(str(value), kind)  # YAML may have made a datetime of it
            return bound
        if kind in FLOATS and has_json_type(value, kind) and math.isfinite(value):
            # A whole number from EXACT on is rounded to the nearest float64, as cells are; a smaller one stays.
            return float(value) if abs(value) >= EXACT else value
        if kind in INTEGERS and has_json_type(value, "int64"):
            return int(value)
    except (ValueError, OverflowError):
        pass
    return declaration.refuse(word, f"a bound of a {kind}", value)


def usual_numbers(kind: Kind, rules: Sequence[Rule]) -> tuple[Any, float, float]:
    """The type of most numbers of JSON that keep all of the rules, and two numbers between which they lie.

    No type if more is to be looked at: other rules, or float32, which rounds a number onto a bound."""
    most: float = min(INTEGERS.get(kind, 0), EXACT)
    if {type(rule) for rule in rules} - {Required, Finite, Range} or not (most or kind == "float64"):
        return None, 0.0, 0.0
    limits = [rule.limits for rule in rules if isinstance(rule, Range)]
    largest = min((rule.largest for rule in rules if isinstance(rule, Finite)), default=most)
    lows, highs = zip((-largest, largest), *limits, strict=True)
    return int if most else float, max(lows), min(highs)
