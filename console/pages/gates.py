"""A gate's judgement as two short texts: what it requires, what was measured."""

from __future__ import annotations

from collections.abc import Mapping

from millrace.messages.train import GateVerdict

REQUIRED = {
    "finite_weights": "all finite",
    "calibration": "error ≤ {bound:g}",
    "latency": "p99 ≤ {bound:g} ms",
    "size": "≤ {bound:g} MB",
    "baseline": "error ≤ {bound:.3f}",
    "non_inferiority": "lower bound ≥ {bound:+.3g}",
}
MEASURED = {
    "calibration": "{measured:.3f}",
    "latency": "{measured:.3f} ms",
    "size": "{measured:.3f} MB",
    "baseline": "{measured:.3f}",
    "non_inferiority": "{measured:+.4f}",
}


def required(verdict: GateVerdict) -> str:
    """The verdict's own sentence for a gate that this table does not have, and for one without a number."""
    return _filled(REQUIRED, verdict, verdict.sentence)


def measured(verdict: GateVerdict) -> str:
    """Empty where the sentence says it."""
    return _filled(MEASURED, verdict, "")


def _filled(texts: Mapping[str, str], verdict: GateVerdict, otherwise: str) -> str:
    if verdict.measured is None or verdict.bound is None:
        return otherwise
    return texts.get(verdict.name, otherwise).format(measured=verdict.measured, bound=verdict.bound)
