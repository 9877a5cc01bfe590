"""Makes one test of all rules on a column's cells, for the cells that keep them: most do, and nothing is to be said.

`row.check_row` asks it first, and applies rule by rule only to a row with a cell that does not pass."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from ctypes import c_float
from typing import TYPE_CHECKING, Any

from millrace.contract.kinds import INTEGERS, NUMBERS, Kind, parse_cell, parse_timestamp
from millrace.contract.rules.finite import Finite
from millrace.contract.rules.range import EXACT, Range
from millrace.contract.rules.required import Required

if TYPE_CHECKING:
    from millrace.contract.rules.rule import Rule

QuickCheck = Callable[[Any], bool]


def quick_check(kind: Kind, rules: Sequence[Rule]) -> QuickCheck:
    """Whether a JSON value is a cell of this kind and keeps all of the rules. False may also mean: look closer."""
    takes_missing = not any(rule.judges_missing for rule in rules)
    if kind in NUMBERS and all(isinstance(rule, Required | Finite | Range) for rule in rules):
        low, high = _interval(kind, rules)
        within = _whole_within if kind in INTEGERS else _float32_within if kind == "float32" else _float_within
        return within(low, high, takes_missing=takes_missing)
    judging = tuple(rule.of_cell for rule in rules if not isinstance(rule, Required))
    parse = parse_timestamp if kind in ("timestamp", "timestamp_utc") else parse_cell

    def keeps_all(value: Any) -> bool:
        if value is None:
            return takes_missing
        try:
            cell = parse(value, kind)
        except (ValueError, TypeError):
            return False
        for broken in judging:
            for _ in broken(cell):
                return False
        return True

    return keeps_all


def _interval(kind: Kind, rules: Sequence[Rule]) -> tuple[Any, Any]:
    """The least and the greatest number that keeps the rules."""
    limit = INTEGERS.get(kind)
    lows: list[Any] = [-(limit or sys.float_info.max)]
    highs: list[Any] = [limit - 1 if limit else sys.float_info.max]
    for rule in rules:
        if isinstance(rule, Finite):
            lows, highs = [*lows, -rule.largest], [*highs, rule.largest]
        elif isinstance(rule, Range):
            lows += [rule.minimum, _beside(rule.exclusive_minimum, +1, limit)]
            highs += [rule.maximum, _beside(rule.exclusive_maximum, -1, limit)]
    return max(one for one in lows if one is not None), min(one for one in highs if one is not None)


def _beside(bound: Any, step: int, limit: int | None) -> Any:
    """The number next to an excluded bound: a whole one in a column with a limit, else a float."""
    if bound is None:
        return None
    return bound + step if limit else math.nextafter(bound, step * math.inf)


# Types are compared by identity: a bool is an int in Python, but not in JSON.
def _whole_within(low: int, high: int, *, takes_missing: bool) -> QuickCheck:
    def within(value: Any) -> bool:
        return low <= value <= high if type(value) is int else value is None and takes_missing

    return within


def _float_within(low: float, high: float, *, takes_missing: bool) -> QuickCheck:
    def within(value: Any) -> bool:
        # A whole number between two floats is also between them when it is rounded to a float.
        if (kind := type(value)) is float or kind is int:
            return low <= value <= high  # type: ignore[no-any-return]
        return value is None and takes_missing

    return within


def _float32_within(low: float, high: float, *, takes_missing: bool) -> QuickCheck:
    def within(value: Any) -> bool:
        kind = type(value)
        if kind is float or (kind is int and -EXACT <= value <= EXACT):
            return low <= c_float(value).value <= high
        return value is None and takes_missing

    return within
