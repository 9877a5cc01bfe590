"""A gate's judgement as two short texts: what it requires, what was measured."""

from __future__ import annotations

from collections.abc import Mapping

from console.words import figure
from millrace.evaluation.report import ErrorMeaning
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


COMPARED = {
    "calibration": "expected calibration error {measured:.3g} {sign} {bound:.3g}",
    "latency": "p99 {measured:.3g} ms {sign} {bound:g} ms",
    "size": "{measured:.3g} MB {sign} {bound:g} MB",
    "non_inferiority": "lower bound of the improvement {measured:+.3g} {sign} {bound:+.3g}",
}
"""Figure, relation and bound of a gate; the baseline's figure is the task's own error."""


def compared(verdict: GateVerdict, error: ErrorMeaning | None) -> str:
    """Figure against bound, for example `mean absolute error 74.35 ≤ 75.39`; of a refusal the other relation.

    The verdict's own sentence for a gate without a number and for one that no table has; `error` is what the error of
    its evaluation means."""
    if verdict.name == "finite_weights":
        return "all weights finite" if verdict.passed else "weights that are not finite"
    if verdict.measured is None or verdict.bound is None:
        return verdict.sentence
    sign = "≤" if verdict.measured <= verdict.bound else ">"
    if verdict.name == "non_inferiority" or _is_gain(verdict):
        sign = "≥" if verdict.measured >= verdict.bound else "<"
    if verdict.name == "baseline":
        return _baseline(verdict.measured, verdict.bound, sign, error=None if _is_gain(verdict) else error)
    if verdict.name not in COMPARED:
        return verdict.sentence
    return COMPARED[verdict.name].format(measured=verdict.measured, bound=verdict.bound, sign=sign)


def _baseline(measured: float, bound: float, sign: str, *, error: ErrorMeaning | None) -> str:
    if sign in "≥<" and error is None:
        return f"log loss lower by {measured:.1%} {sign} {bound:.1%}"
    if error is None:
        return f"error {figure(measured)} {sign} {figure(bound)}"
    return f"{error.name} {error.amount(measured)} {sign} {error.amount(bound)}"


def mark(verdict: GateVerdict) -> str:
    """✓ passed, ! passed with a warning, ✗ refused."""
    return "!" if verdict.is_warning else "✓" if verdict.passed else "✗"


def tone(verdict: GateVerdict) -> str:
    """The colour of its mark."""
    return "watch" if verdict.is_warning else "good" if verdict.passed else "bad"


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
    if verdict.measured is None or verdict.bound is None or verdict.name not in texts:
        return otherwise
    figures = {"figure": figure(verdict.measured), "bound_figure": figure(verdict.bound)}
    return texts[verdict.name].format(measured=verdict.measured, bound=verdict.bound, **figures)
