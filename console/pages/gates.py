"""A gate's judgement as two short texts: what it requires, what was measured."""

from __future__ import annotations

from collections.abc import Mapping

from console.words import figure
from millrace.messages.train import GateVerdict

REQUIRED = {
    "finite_weights": "all finite",
    "calibration": "error ≤ {bound:g}",
    "latency": "p99 ≤ {bound:g} ms",
    "size": "≤ {bound:g} MB",
    "baseline": "error ≤ {bound_figure}",
    "non_inferiority": "lower bound ≥ {bound:+.3g}",
}
GAIN = "log loss lower by {bound:.0%}"
"""Of the gate `baseline` with the rule `base_rate`: its figure is a gain, which has to reach the bound."""
MEASURED = {
    "calibration": "{measured:.3f}",
    "latency": "{measured:.3f} ms",
    "size": "{measured:.3f} MB",
    "baseline": "{figure}",
    "non_inferiority": "{measured:+.3g}",
}


def required(verdict: GateVerdict) -> str:
    """The verdict's own sentence for a gate that this table does not have, and for one without a number."""
    return _filled(REQUIRED | ({"baseline": GAIN} if _is_gain(verdict) else {}), verdict, verdict.sentence)


def measured(verdict: GateVerdict) -> str:
    """Empty where the sentence says it."""
    return _filled(MEASURED | ({"baseline": "{measured:.0%}"} if _is_gain(verdict) else {}), verdict, "")


def _is_gain(verdict: GateVerdict) -> bool:
    """Whether a figure above the bound passes and one below does not."""
    if verdict.measured is None or verdict.bound is None:
        return False
    return verdict.passed is not (verdict.measured <= verdict.bound)


def _filled(texts: Mapping[str, str], verdict: GateVerdict, otherwise: str) -> str:
    if verdict.measured is None or verdict.bound is None:
        return otherwise
    figures = {"figure": figure(verdict.measured), "bound_figure": figure(verdict.bound)}
    return texts.get(verdict.name, otherwise).format(measured=verdict.measured, bound=verdict.bound, **figures)
