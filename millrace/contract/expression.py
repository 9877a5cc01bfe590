"""A column that is computed of other cells of its row, such as `debt / income`: alike with numpy and without."""

from __future__ import annotations

import ast
import math
import operator
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, reduce
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from millrace.contract.kinds import FLOATS, NUMBERS, TIMES, Kind, parse_cell, to_float
from millrace.spelling import one_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

MOST_CHARACTERS = 400
"""Of an expression: it bounds how deep one is nested."""
LARGEST = sys.float_info.max
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US = 1e6
GRAMMAR = "numbers, columns of numbers, + - * / ( ), log abs min max fill, and the difference of two times of one kind"


PLAIN = SimpleNamespace(
    divide=lambda a, b: a / b if b else math.nan,
    where=lambda condition, a, b: a if condition else b,
    frexp=math.frexp,
)
"""What numpy does to arrays, for two numbers. `+ - *` and `abs` are the same for both."""


def _log(using: Any, x: Any) -> Any:
    """The natural logarithm within one unit in the last place, of `+ - * /` alone, so that each machine has the same:
    those of numpy and of a processor's libm differ in the last bit. Source: https://www.netlib.org/fdlibm/e_log.c"""
    mantissa, exponent = using.frexp(x)
    is_low = mantissa < math.sqrt(0.5)
    f, k = mantissa * (1.0 + is_low) - 1.0, exponent - 1.0 * is_low
    s = using.divide(f, 2.0 + f)
    z = s * s
    w = z * z
    odd = z * (0.6666666666666735 + w * (0.2857142874366239 + w * (0.1818357216161805 + w * 0.14798198605116586)))
    even = w * (0.3999999999940942 + w * (0.22222198432149784 + w * 0.15313837699209373))
    half = 0.5 * f * f
    found = k * 6.93147180369123816490e-01 - ((half - (s * (half + odd + even) + k * 1.90821492927058770002e-10)) - f)
    return using.where(x > 0, found, math.nan)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "log": _log,
    "abs": lambda _, a: abs(a),
    "min": lambda using, a, b: using.where((b < a) | (b != b), b, a),
    "max": lambda using, a, b: using.where((b > a) | (b != b), b, a),
    "fill": lambda using, a, b: using.where(a != a, b, a),
}
OPERATORS: Mapping[type[ast.operator], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


@dataclass(frozen=True, kw_only=True)
class Expression:
    """How a number is computed of other cells of its row, in float64.

    Nothing comes of a missing cell, a division by zero, the log of what is not above 0, and of what no float64 holds.
    Of several values `fill` takes the first that is something.
    The difference of two times is in seconds, that of two dates in days."""

    text: str
    kind: Kind
    """What the number becomes: float32 or float64."""
    sources: Mapping[str, Kind]
    """The columns that it reads."""

    @cached_property
    def _tree(self) -> ast.expr:
        return ast.parse(self.text, mode="eval").body

    def of_row(self, row: Mapping[str, Any]) -> float | None:
        """The number of a row of JSON; a cell of a wrong type counts as missing."""
        numbers = {name: _number(row.get(name), kind) for name, kind in self.sources.items()}
        found = to_float(self._value(self._tree, numbers, PLAIN), self.kind)
        return found if math.isfinite(found) else None

    def of_rows(self, rows: pa.Table) -> pa.Array:
        """The number of each row. `rows` has all sources."""
        import numpy as np
        import pyarrow as pa

        with np.errstate(all="ignore"):
            numbers = {name: _numbers(rows.column(name)) for name in self.sources}
            found_N = self._value(self._tree, numbers, np).astype(self.kind)
        return pa.array(found_N, mask=~np.isfinite(found_N))

    def _value(self, node: ast.AST, numbers: Mapping[str, Any], using: Any) -> Any:
        """The value of a part of the expression; NaN where there is none."""

        def value(part: ast.AST) -> Any:
            return self._value(part, numbers, using)

        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.UnaryOp():
                return -value(node.operand)
            case ast.Call(func=ast.Name(id=name)):
                first, *others = map(value, node.args)
                found = reduce(lambda a, b: FUNCTIONS[name](using, a, b), others, first)
                found = found if others else FUNCTIONS[name](using, first)
            case ast.BinOp(left=left):
                found = OPERATORS.get(type(node.op), using.divide)(value(left), value(node.right))
                if isinstance(left, ast.Name) and self.sources[left.id] in ("timestamp", "timestamp_utc"):
                    found = found / SECOND_US
            case ast.Name(id=name):
                found = numbers[name]
        return found * (found - found + 1.0)  # infinity becomes NaN, and each other number stays, -0.0 too


def _number(value: Any, kind: Kind) -> float:
    try:
        cell = parse_cell(value, kind)
    except ValueError:
        return math.nan
    if isinstance(cell, datetime):
        return float((cell - (EPOCH if cell.tzinfo else EPOCH.replace(tzinfo=None))) // timedelta(microseconds=1))
    if isinstance(cell, date):
        return float((cell - EPOCH.date()).days)
    return math.nan if cell is None else float(cell)


def _numbers(cells: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_temporal(cells.type):  # days or microseconds since EPOCH
        cells = pc.cast(cells, pa.int32() if pa.types.is_date(cells.type) else pa.int64())
    found: npt.NDArray[np.float64] = pc.cast(cells, pa.float64(), safe=False).to_numpy()
    return found


def read_expression(text: object, kind: Kind, kinds: Mapping[str, Kind]) -> Expression:
    """The expression of a column of this kind, over columns of these `kinds`.

    Raises ValueError, with what was expected, for any other text."""
    if kind not in FLOATS:
        raise ValueError(f"no transformLogic on a {kind}: what it computes is a number")
    try:
        tree = ast.parse(text, mode="eval").body if isinstance(text, str) and len(text) <= MOST_CHARACTERS else None
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        tree = None
    if tree is None:
        raise ValueError(f"{GRAMMAR}, in {MOST_CHARACTERS} characters: debt / income")
    _check(tree, kinds)
    names = dict.fromkeys(node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in kinds)
    if not names:
        raise ValueError(one_of("", kinds))
    return Expression(text=str(text), kind=kind, sources={name: kinds[name] for name in names})


def _check(node: ast.AST, kinds: Mapping[str, Kind]) -> None:
    """Raise ValueError for a part of an expression that is none of GRAMMAR."""
    parts: list[ast.expr] = []
    match node:
        case ast.Constant(value=float() | int() as number) if type(number) is not bool and abs(number) <= LARGEST:
            pass
        case ast.Name(id=name) if name not in kinds:
            raise ValueError(f"{one_of(name, kinds)}; not {name}")
        case ast.Name(id=name) if kinds[name] in NUMBERS:
            pass
        case ast.BinOp(op=ast.Sub(), left=ast.Name(id=left), right=ast.Name(id=right)) if kinds.get(left) in TIMES:
            if kinds[left] != kinds.get(right):
                raise ValueError(f"{left} minus another {kinds[left]}, not minus {right}")
        case ast.UnaryOp(op=ast.USub(), operand=only):
            parts = [only]
        case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div()):
            parts = [node.left, node.right]
        case ast.Call(func=ast.Name(id="log" | "abs"), args=[_] as parts, keywords=[]):
            pass
        case ast.Call(func=ast.Name(id="min" | "max" | "fill"), args=[_, _, *_] as parts, keywords=[]):
            pass
        case _:
            of = f", a {kinds[node.id]}" if isinstance(node, ast.Name) else ""
            raise ValueError(f"{GRAMMAR}; not {ast.unparse(node)[:80]}{of}")
    for part in parts:
        _check(part, kinds)
