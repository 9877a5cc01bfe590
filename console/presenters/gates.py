"""A gate's verdict as short texts, by the verdict's own figure, unit and direction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace.messages.train import GateVerdict

PASSES = {"at_most": "≤", "at_least": "≥"}
"""The relation of figure to bound if the gate passed, by direction."""
FAILS = {"at_most": ">", "at_least": "<"}
"""The relation of figure to bound if the gate refused, by direction."""


def compared(verdict: GateVerdict) -> str:
    """The figure against its bound: `mean absolute error 74.35 µg/m³ ≤ 75.39 µg/m³`; with `>` if the gate refused.

    The verdict's own sentence if it has no figure, or if it was refused for more than this figure."""
    if not _has_figure(verdict):
        return verdict.sentence
    sign = (PASSES if verdict.passed else FAILS)[verdict.direction]
    found, bound = _apart(verdict)
    return f"{verdict.figure} {found} {sign} {bound}"


def required(verdict: GateVerdict) -> str:
    """What the gate requires: `p99 of one call ≤ 50 ms`; the verdict's sentence if it has no figure."""
    if not _has_figure(verdict):
        return verdict.sentence
    return f"{verdict.figure} {PASSES[verdict.direction]} {_apart(verdict)[1]}"


def measured(verdict: GateVerdict) -> str:
    """What was measured: `0.312 ms`; empty if the sentence says it."""
    return _apart(verdict)[0] if _has_figure(verdict) else ""


def mark(verdict: GateVerdict) -> str:
    """`✓` passed, `!` passed with a warning, `✗` refused."""
    return "!" if verdict.is_warning else "✓" if verdict.passed else "✗"


def tone(verdict: GateVerdict) -> str:
    """The tone of the mark, which gives its colour."""
    return "watch" if verdict.is_warning else "good" if verdict.passed else "bad"


def _has_figure(verdict: GateVerdict) -> bool:
    """Whether the verdict has figure and bound, and their relation is the reason why it passed or was refused."""
    if not verdict.figure or verdict.measured is None or verdict.bound is None:
        return False
    # A gate may refuse for another reason although its figure keeps the bound.
    is_kept = verdict.measured <= verdict.bound if verdict.direction == "at_most" else verdict.measured >= verdict.bound
    return is_kept is verdict.passed


def _apart(verdict: GateVerdict) -> tuple[str, str]:
    """Figure and bound as text, with as many digits as it takes to tell them apart."""
    found, bound = verdict.measured or 0.0, verdict.bound or 0.0
    # 17 digits tell any two different float64 apart.
    texts = [(_amount(found, digits, verdict), _amount(bound, digits, verdict)) for digits in (4, 6, 9, 17)]
    return next((pair for pair in texts if pair[0] != pair[1] or found == bound), texts[-1])


def _amount(value: float, digits: int, verdict: GateVerdict) -> str:
    """A value of the verdict with its unit, with so many significant digits."""
    # The bound of a difference is 0 or less. With a sign, both numbers read as differences.
    sign = "+" if verdict.direction == "at_least" and (verdict.bound or 0.0) <= 0 else ""
    if verdict.unit == "%":
        return f"{value * 100:{sign}.{digits}g}%"
    return f"{value + 0.0:{sign}.{digits}g} {verdict.unit}".rstrip()


MOST_NAMED = 3
"""How many contributions a line names, the largest ones."""


def because(explanation: Mapping[str, Any] | None) -> str:
    """The largest contributions in a line: `nswprice 0.0613 +1.52, period 0.5 -0.38, …`; empty for None."""
    if explanation is None:
        return ""
    found = explanation["contributions"]
    words = ", ".join(f"{_part(one)} {one['contribution']:+.3g}" for one in found[:MOST_NAMED])
    return f"{words}, …" if len(found) > MOST_NAMED else words


def contribution_rows(explanation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The explanation as rows: the reference's score, each contribution with the largest first, the sum of all others,
    and the row's score."""
    empty = {"place": "", "value": ""}
    rows = [{"what": "the reference", **empty, "adds": f"{explanation['base']:.4g}"}]
    for one in explanation["contributions"]:
        words = {"what": one["column"], "place": one.get("place", ""), "value": one.get("value", "")}
        rows.append(words | {"adds": f"{one['contribution']:+.4g}"})
    if explanation["others"]:
        rows.append({"what": "all others", **empty, "adds": f"{explanation['others']:+.4g}"})
    return [*rows, {"what": f"the row: {explanation['explains']}", **empty, "adds": f"{explanation['output']:.4g}"}]


def _part(one: Mapping[str, Any]) -> str:
    return " ".join(one[name] for name in ("column", "place", "value") if one.get(name))
