"""The gates by name. Add a gate: one file with `judge` and one line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from millrace.evaluation.gates import baseline, calibration, finite_weights, latency, non_inferiority, size
from millrace.evaluation.gates.verdict import Verdict
from millrace.evaluation.report import Evaluation
from millrace.workload.declaration import Gates

Judge = Callable[[Evaluation, Gates], Verdict]
Against = Literal["baseline", "non_inferiority"]

GATES: dict[str, Judge] = {
    "finite_weights": finite_weights.judge,
    "calibration": calibration.judge,
    "latency": latency.judge,
    "size": size.judge,
    "baseline": baseline.judge,
    "non_inferiority": non_inferiority.judge,
}

ALTERNATIVES: tuple[Against, ...] = ("baseline", "non_inferiority")
"""Of these a run asks one: first models must beat the naive rule, later ones must not be worse than the champion."""


def judge_all(report: Evaluation, gates: Gates, *, against: Against) -> tuple[Verdict, ...]:
    """The verdicts in the catalogue's order: every gate, of the alternatives only `against`."""
    return tuple(judge(report, gates) for name, judge in GATES.items() if name == against or name not in ALTERNATIVES)


def passed(verdicts: Sequence[Verdict]) -> bool:
    """Whether all passed; no verdicts at all is no pass."""
    return bool(verdicts) and all(verdict.passed for verdict in verdicts)
