"""Rules on a drop as a whole: its number of rows, the missing or invalid cells of a column, the mean of a column.

A drop that breaks one is held for a person: no row of it enters the table, and none is quarantined as if it were bad.
The contract says them in the standard's words, and means, which the standard does not have, by the engine millrace:

    quality:
      - {metric: rowCount, mustBeBetween: [600, 800]}
      - {type: custom, engine: millrace, implementation: mean of TEMP between -10 and 30}
    properties:
      - {name: PRES, quality: [{metric: nullValues, mustBeLessThan: 5, unit: percent}]}
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from millrace.contract.kinds import NUMBERS, Kind

OPERATORS: Mapping[str, Callable[[float, tuple[float, ...]], bool]] = {
    "mustBe": lambda value, bounds: value == bounds[0],
    "mustNotBe": lambda value, bounds: value != bounds[0],
    "mustBeGreaterThan": lambda value, bounds: value > bounds[0],
    "mustBeGreaterOrEqualTo": lambda value, bounds: value >= bounds[0],
    "mustBeLessThan": lambda value, bounds: value < bounds[0],
    "mustBeLessOrEqualTo": lambda value, bounds: value <= bounds[0],
    "mustBeBetween": lambda value, bounds: bounds[0] <= value <= bounds[1],
    "mustNotBeBetween": lambda value, bounds: not bounds[0] <= value <= bounds[1],
}
"""The standard's operators. Both bounds are between themselves."""
UPPER = ("mustBeLessThan", "mustBeLessOrEqualTo")
"""Those that say how many cells may be missing or invalid."""
ROW_COUNT, NULL, MISSING, INVALID, MEAN = "rowCount", "nullValues", "missingValues", "invalidValues", "mean"
_NUMBER = r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)"
MEANS = re.compile(rf"mean of (.+) between {_NUMBER} and {_NUMBER}")
MEAN_FORM = "mean of A between -10 and 30: A has numbers"

Totals = Counter[str]
"""Sums over the rows of a drop, so that those of its parts add up: `good` (rows that keep the contract), `repeated`
(those whose keys a job of Spark has found elsewhere), `every` (rows that could be parsed) and, of a column,
`nullValues PRES` and `sum PRES` over good rows, and `invalidValues PRES`."""


@dataclass(frozen=True, kw_only=True)
class DropRule:
    """One figure of a drop, and what it must be."""

    metric: str
    """`rowCount`, `nullValues`, `missingValues` (the same), `invalidValues` or `mean`."""
    operator: str
    """One of OPERATORS."""
    bounds: tuple[float, ...]
    """One number or two."""
    column: str = ""
    unit: str = "rows"

    def value(self, totals: Mapping[str, float]) -> float:
        """The figure of a drop with these totals; NaN if it has no cell that would say."""
        if self.metric == ROW_COUNT:
            return totals["good"] - totals.get("repeated", 0)
        of, cells = ("every", INVALID) if self.metric == INVALID else ("good", NULL)
        rows, found = totals[of], totals[f"{cells} {self.column}"]
        if self.metric == MEAN:
            return totals[f"sum {self.column}"] / (rows - found) if rows > found else math.nan
        return 100 * found / max(1, rows) if self.unit == "percent" else found

    def broken(self, totals: Mapping[str, float]) -> str:
        """What was expected and what came; empty if the drop keeps the rule."""
        value = self.value(totals)
        if math.isnan(value) or OPERATORS[self.operator](value, self.bounds):
            return ""
        bounds, of = " and ".join(f"{bound:.12g}" for bound in self.bounds), self.column and f" of {self.column}"
        must = re.sub("([A-Z])", lambda capital: f" {capital[1].lower()}", self.operator)
        return f"{self.metric}{of} {must} {bounds} {self.unit}".rstrip() + f", came {value:.6g}"


def of_rows(rule: Mapping[str, Any]) -> DropRule:
    """The rule on the number of rows. Raises ValueError, with what was expected, for words that make no rule."""
    return _read(rule, *OPERATORS, units=("rows",))


def of_cells(rule: Mapping[str, Any], *, column: str) -> DropRule:
    """As `of_rows`, for the number or the share of cells of a column."""
    found = _read(rule, *UPPER, units=("rows", "percent"))
    if not found.bounds[0]:
        raise ValueError("mustBe: 0, or a number above 0")
    return replace(found, column=column)


def _read(rule: Mapping[str, Any], *operators: str, units: Sequence[str]) -> DropRule:
    operator, *others = [word for word in rule if word.startswith("must")] or [""]
    unit = rule.get("unit", "rows")
    if others or operator not in operators or unit not in units:
        raise ValueError(f"one of {', '.join(operators)}, unit: {' or '.join(units)}")
    many, most = (2 if operator.endswith("Between") else 1), 100 if unit == "percent" else math.inf
    bounds = rule[operator] if many == 2 else [rule[operator]]
    is_right = isinstance(bounds, list) and len(bounds) == many and all(type(one) in (int, float) for one in bounds)
    if not is_right or not all(0 <= one <= most for one in bounds) or bounds != sorted({*bounds}):
        raise ValueError(f"{operator}: {'a number' if many == 1 else 'two numbers in order'}, from 0 to {most}")
    return DropRule(metric=rule["metric"], operator=operator, bounds=tuple(bounds), unit=unit)


def read_mean(text: str, kinds: Mapping[str, Kind]) -> DropRule:
    """The rule on a mean that a contract with columns of these kinds writes.

    Raises ValueError, with what was expected, for another text."""
    form = MEANS.fullmatch(text)
    if not form or kinds.get(form[1]) not in NUMBERS or float(form[2]) >= float(form[3]):
        raise ValueError(MEAN_FORM)
    return DropRule(
        metric=MEAN, column=form[1], operator="mustBeBetween", bounds=tuple(map(float, form.group(2, 3))), unit=""
    )
