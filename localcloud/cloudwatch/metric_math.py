"""CloudWatch metric math: evaluates an expression over series, period by period.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
Covered: arithmetic, comparisons, AND, OR and the functions in `_FUNCTIONS`. Anything else is refused by name.
Alarms on several queues (`MAX(METRICS())`) and on rates (errors ÷ requests) use it.

    errors / calls   {12:00: 3, 12:01: 1} / {12:00: 4, 12:02: 5}   is   {12:00: 0.75}
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from localcloud.cloudwatch.metric_store import Series

Value = float | Series | list[Series]
"""What a part of an expression may be: a number, a series, or several series."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What an expression can refer to."""

    series: Mapping[str, Series]
    """The series that are known, by the id of their query."""
    metrics: Sequence[str]
    """The ids that METRICS() means: the metrics of the request, not its expressions."""
    timeline: Sequence[float]
    """The start of every period of the request, in seconds since the epoch."""


def evaluate(expression: str, frame: Frame) -> Series:
    """The series of the expression. A number gives the same value for every period.

    Raises ValueError for an expression that cannot be read or is not covered; the message names the part."""
    # With these words replaced, an expression is one of Python's too, so Python's parser makes its tree. Nothing is
    # executed: `_value` knows the few nodes that metric math has, and refuses all others.
    text = re.sub(r"\bAND\b|&&", " and ", expression)
    text = re.sub(r"\bOR\b|\|\|", " or ", text)
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise ValueError(f"metric math: cannot read {expression!r}") from error
    return _series(_value(tree.body, frame), frame, f"{expression!r} gives no single series")


_OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
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
        case ast.Name(id=name) if name in frame.series:
            return frame.series[name]
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


def _series(value: Value, frame: Frame, wrong: str = "") -> Series:
    """The value as a series: a number stands for itself in every period. Raises ValueError for anything else.

    `wrong` is said of that in place of the value."""
    if isinstance(value, dict):
        return value
    if isinstance(value, int | float):
        return dict.fromkeys(frame.timeline, float(value))
    raise ValueError(f"metric math: {wrong or f'expected a series, got {value!r}'}")


def _pairwise(act: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """The operation in each period in which both sides have a value. A division by zero has no value, as on AWS."""
    if isinstance(left, list) or isinstance(right, list):
        raise ValueError("metric math: an operation on several series is not covered by the local cloud")
    series = [side for side in (left, right) if isinstance(side, dict)]
    if not series:
        return float(act(left, right))  # type: ignore[arg-type]
    found: Series = {}
    # Values of the same period are paired, not of the same position: {12:00: 4, 12:05: 6} / {12:05: 2} is {12:05: 3}.
    for at in series[0].keys() & series[-1].keys():
        with suppress(ZeroDivisionError):
            found[at] = float(act(*(side[at] if isinstance(side, dict) else side for side in (left, right))))
    return found


def _max(_: Frame, members: Value) -> Series:
    """The largest of several series in each period in which one of them has a value."""
    if not isinstance(members, list):
        raise ValueError("metric math: MAX of one series or number is not covered by the local cloud")
    found: Series = {}
    for series in members:
        found |= {at: max(value, found.get(at, value)) for at, value in series.items()}
    return found


def _if(frame: Frame, condition: Value, then: Value, otherwise: Value | None = None) -> Series:
    # Without a third argument IF has no value in a period in which the condition does not hold: the period is absent.
    chosen: Series = {}
    for at, holds in _series(condition, frame).items():
        value = then if holds else otherwise
        if isinstance(value, dict) and at in value:
            chosen[at] = value[at]
        elif isinstance(value, int | float):
            chosen[at] = float(value)
    return chosen


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "MAX": _max,
    "IF": _if,
    "METRICS": lambda frame: [frame.series[name] for name in frame.metrics],
}
