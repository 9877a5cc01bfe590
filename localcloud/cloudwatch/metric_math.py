"""CloudWatch metric math: evaluates an expression over series, period by period.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
Covered: arithmetic, comparisons, AND, OR and the functions in `_FUNCTIONS`. Anything else is refused by name.
Alarms on several queues (`MAX(METRICS())`) and on rates (errors ÷ requests) use it.

    errors / calls   {12:00: 3, 12:01: 1} / {12:00: 4, 12:02: 5}   is   {12:00: 0.75}
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from localcloud.cloudwatch.metric_store import Series

Value = float | str | Series | list[Series]
"""What a part of an expression may be: a number, a word (`REPEAT`), a series, or several series."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What an expression can refer to."""

    series: Mapping[str, Series]
    """The series that are known, by the id of their query."""
    metrics: Sequence[str]
    """The ids that METRICS() means: the metrics of the request, not its expressions."""
    timeline: Sequence[float]
    """The start of every period of the request, in seconds since the epoch. FILL and TIME_SERIES need it."""
    period_s: int
    """The length of a period in seconds."""


def evaluate(expression: str, frame: Frame) -> Series:
    """The series of the expression. A number gives the same value for every period.

    Raises ValueError for an expression that cannot be read or is not covered; the message names the part."""
    # With these words replaced, an expression is one of Python's too, so Python's parser makes its tree. Nothing is
    # executed: `_value` knows the few nodes that metric math has, and refuses all others.
    text = re.sub(r"\bAND\b|&&", " and ", expression)
    text = re.sub(r"\bOR\b|\|\|", " or ", text).replace("^", "**")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise ValueError(f"metric math: cannot read {expression!r}") from error
    value = _value(tree.body, frame)
    if isinstance(value, int | float):
        return dict.fromkeys(frame.timeline, float(value))
    if isinstance(value, dict):
        return value
    raise ValueError(f"metric math: {expression!r} gives no single series")


_OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.And: lambda a, b: bool(a) and bool(b),
    ast.Or: lambda a, b: bool(a) or bool(b),
}


def _value(node: ast.expr, frame: Frame) -> Value:
    # One case for each kind of node of Python's tree that an expression of metric math may have.
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Constant(value=str() as text):
            return text
        case ast.Name(id=name) if name in frame.series:
            return frame.series[name]
        case ast.Name(id="REPEAT" | "LINEAR" as word):
            return word
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _pairwise(operator.sub, 0.0, _value(operand, frame))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _pairwise(_OPERATORS[type(op)], _value(left, frame), _value(right, frame))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
            return _pairwise(_OPERATORS[type(op)], _value(left, frame), _value(right, frame))
        case ast.BoolOp(op=op, values=[first, *others]):
            value = _value(first, frame)
            for other in others:
                value = _pairwise(_OPERATORS[type(op)], value, _value(other, frame))
            return value
        case ast.List(elts=members):
            return [_series(_value(member, frame), frame) for member in members]
        case ast.Call(func=ast.Name(id=name), args=arguments) if name in _FUNCTIONS:
            called: Value = _FUNCTIONS[name](frame, *[_value(argument, frame) for argument in arguments])
            return called
        case ast.Call(func=ast.Name(id=name)):
            raise ValueError(f"metric math: function {name} is not covered by the local cloud")
    raise ValueError(f"metric math: {ast.unparse(node)!r} is not covered by the local cloud")


def _series(value: Value, frame: Frame) -> Series:
    """The value as a series: a number stands for itself in every period. Raises ValueError for anything else."""
    if isinstance(value, dict):
        return value
    if isinstance(value, int | float):
        return dict.fromkeys(frame.timeline, float(value))
    raise ValueError(f"metric math: expected a series, got {value!r}")


def _pairwise(act: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """The operation in each period in which both sides have a value. A division by zero has no value, as on AWS."""
    if isinstance(left, list) or isinstance(right, list):
        return _over_lists(act, left, right)
    if isinstance(left, str) or isinstance(right, str):
        raise ValueError(f"metric math: cannot calculate with {left!r} and {right!r}")
    # Values of the same period are paired, not of the same position: {12:00: 4, 12:05: 6} / {12:05: 2} is {12:05: 3}.
    if isinstance(left, dict):
        times = [at for at in left if not isinstance(right, dict) or at in right]
    elif isinstance(right, dict):
        times = list(right)
    else:
        return float(act(left, right))
    pairs = {at: (_at(left, at), _at(right, at)) for at in times}
    return _kept({at: _safely(act, *pair) for at, pair in pairs.items()})


def _over_lists(act: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """The operation with each member of a list; what is no list is paired with each member."""
    size = len(left) if isinstance(left, list) else len(right)  # type: ignore[arg-type]
    lefts = left if isinstance(left, list) else [left] * size
    rights = right if isinstance(right, list) else [right] * size
    return [_pairwise(act, a, b) for a, b in zip(lefts, rights, strict=True)]  # type: ignore[misc]


def _at(value: float | Series, at: float) -> float:
    return value[at] if isinstance(value, dict) else value


def _safely(act: Callable[..., float], *values: float) -> float | None:
    """The result of `act`; None if mathematics knows none (1 / 0, LOG(0))."""
    try:
        return float(act(*values))
    except (ZeroDivisionError, ValueError, OverflowError):
        return None


def _kept(found: Mapping[float, float | None]) -> Series:
    return {at: value for at, value in found.items() if value is not None}


def _each(act: Callable[[float], float]) -> Callable[..., Value]:
    """Metric math's function that applies `act` to each value of a number, a series or several series (ABS)."""

    def apply(frame: Frame, value: Value) -> Value:
        if isinstance(value, list):
            return [_series(apply(frame, member), frame) for member in value]
        if isinstance(value, dict):
            return _kept({at: _safely(act, number) for at, number in value.items()})
        return float(act(value))  # type: ignore[arg-type]

    return apply


def _over(act: Callable[[list[float]], float]) -> Callable[..., Value]:
    """Metric math's function that sums up several values by `act` (MAX).

    One series gives a number: MAX({12:00: 4, 12:05: 6}) is 6. Several series give a series: its value in a period is
    that of `act` over the members that have a value there."""

    def apply(frame: Frame, *values: Value) -> Value:
        members = values[0] if len(values) == 1 else list(values)
        if isinstance(members, list):
            series = [_series(member, frame) for member in members]
            times = sorted({at for one in series for at in one})
            return {at: float(act([one[at] for one in series if at in one])) for at in times}
        if isinstance(members, dict):
            return float(act(list(members.values()))) if members else 0.0
        return float(act([members]))  # type: ignore[list-item]

    return apply


def _if(frame: Frame, condition: Value, then: Value, otherwise: Value | None = None) -> Value:
    # Without a third argument IF has no value in a period in which the condition does not hold: the period is absent.
    if isinstance(condition, int | float):
        return then if condition else {} if otherwise is None else otherwise
    chosen: Series = {}
    for at, holds in _series(condition, frame).items():
        value = then if holds else otherwise
        if isinstance(value, dict) and at in value:
            chosen[at] = value[at]
        elif isinstance(value, int | float):
            chosen[at] = float(value)
    return chosen


def _fill(frame: Frame, value: Value, filling: Value) -> Value:
    if isinstance(value, list):
        return [_series(_fill(frame, member, filling), frame) for member in value]
    series = _series(value, frame)
    times = sorted({*frame.timeline, *series})
    if filling == "REPEAT":
        return _repeated(series, times)
    if filling == "LINEAR":
        return _kept({at: series.get(at, _between_neighbours(series, at)) for at in times})
    return {at: series.get(at, _at(filling, at)) for at in times}  # type: ignore[arg-type]


def _repeated(series: Series, times: Sequence[float]) -> Series:
    filled: Series = {}
    last: float | None = None
    for at in times:
        last = series.get(at, last)
        if last is not None:
            filled[at] = last
    return filled


def _between_neighbours(series: Series, at: float) -> float | None:
    """The value on the line between the nearest values before and after; None if one of the two lacks."""
    before, after = [t for t in series if t < at], [t for t in series if t > at]
    if not before or not after:
        return None
    first, second = max(before), min(after)
    share = (at - first) / (second - first)
    return series[first] + share * (series[second] - series[first])


def _steps(frame: Frame, value: Value, act: Callable[[float, float, float], float]) -> Series:
    """`act(value, value before it, seconds between them)` for each value of a series but the first (DIFF, RATE)."""
    items = sorted(_series(value, frame).items())
    return {at: act(now, before, at - earlier) for (earlier, before), (at, now) in pairwise(items)}


def _running_sum(frame: Frame, value: Value) -> Series:
    total, summed = 0.0, {}
    for at, number in sorted(_series(value, frame).items()):
        total += number
        summed[at] = total
    return summed


def _deviation(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "ABS": _each(abs),
    "CEIL": _each(math.ceil),
    "FLOOR": _each(math.floor),
    "EXP": _each(math.exp),
    "LOG": _each(math.log),
    "LOG10": _each(math.log10),
    "SUM": _over(sum),
    "AVG": _over(lambda values: sum(values) / len(values)),
    "MIN": _over(min),
    "MAX": _over(max),
    "STDDEV": _over(_deviation),
    "IF": _if,
    "FILL": _fill,
    "METRICS": lambda frame, part="": [frame.series[name] for name in frame.metrics if part in name],
    "PERIOD": lambda frame, _: float(frame.period_s),
    "TIME_SERIES": lambda frame, number: dict.fromkeys(frame.timeline, float(number)),
    "RUNNING_SUM": _running_sum,
    "DIFF": lambda frame, value: _steps(frame, value, lambda now, before, _: now - before),
    "RATE": lambda frame, value: _steps(frame, value, lambda now, before, seconds: (now - before) / seconds),
}
