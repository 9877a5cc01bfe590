"""A gate's judgement as short texts, by what its verdict says of itself: figure, unit and direction."""

from __future__ import annotations

from millrace.messages.train import GateVerdict

PASSES = {"at_most": "≤", "at_least": "≥"}
FAILS = {"at_most": ">", "at_least": "<"}


def compared(verdict: GateVerdict) -> str:
    """Figure against bound: `mean absolute error 74.35 µg/m³ ≤ 75.39 µg/m³`, of a refusal the other relation.

    The verdict's own sentence where it has no figure, or was refused for more than this one."""
    if not _has_figure(verdict):
        return verdict.sentence
    sign = (PASSES if verdict.passed else FAILS)[verdict.direction]
    found, bound = _apart(verdict)
    return f"{verdict.figure} {found} {sign} {bound}"


def required(verdict: GateVerdict) -> str:
    """`p99 of one call ≤ 50 ms`; the sentence where it has no figure."""
    if not _has_figure(verdict):
        return verdict.sentence
    return f"{verdict.figure} {PASSES[verdict.direction]} {_apart(verdict)[1]}"


def measured(verdict: GateVerdict) -> str:
    """`0.312 ms`; empty where the sentence says it."""
    return _apart(verdict)[0] if _has_figure(verdict) else ""


def mark(verdict: GateVerdict) -> str:
    """✓ passed, ! passed with a warning, ✗ refused."""
    return "!" if verdict.is_warning else "✓" if verdict.passed else "✗"


def tone(verdict: GateVerdict) -> str:
    """The colour of its mark."""
    return "watch" if verdict.is_warning else "good" if verdict.passed else "bad"


def _has_figure(verdict: GateVerdict) -> bool:
    """Whether figure and bound are there, and their relation is why it passed or was refused."""
    if not verdict.figure or verdict.measured is None or verdict.bound is None:
        return False
    is_kept = verdict.measured <= verdict.bound if verdict.direction == "at_most" else verdict.measured >= verdict.bound
    return is_kept is verdict.passed


def _apart(verdict: GateVerdict) -> tuple[str, str]:
    """Both numbers with as many digits as it takes to tell them apart."""
    found, bound = verdict.measured or 0.0, verdict.bound or 0.0
    texts = [(_amount(found, digits, verdict), _amount(bound, digits, verdict)) for digits in (4, 6, 9, 17)]
    return next((pair for pair in texts if pair[0] != pair[1] or found == bound), texts[-1])


def _amount(value: float, digits: int, verdict: GateVerdict) -> str:
    # A bound of a difference is 0 or less: with a sign it reads as one.
    sign = "+" if verdict.direction == "at_least" and (verdict.bound or 0.0) <= 0 else ""
    if verdict.unit == "%":
        return f"{value * 100:{sign}.{digits}g}%"
    return f"{value + 0.0:{sign}.{digits}g} {verdict.unit}".rstrip()
