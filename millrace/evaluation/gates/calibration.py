"""The probabilities mean what they say."""

from __future__ import annotations

from millrace.evaluation.gates.verdict import Verdict
from millrace.evaluation.report import Evaluation
from millrace.workload.declaration import Gates


def judge(report: Evaluation, gates: Gates) -> Verdict:
    """Passed when the expected calibration error is at most the workload's bound."""
    measured, bound = report.metrics.ece, gates.calibration.max_ece
    return Verdict(
        name="calibration",
        passed=measured <= bound,
        measured=measured,
        bound=bound,
        sentence=f"expected calibration error {measured:.4f}; at most {bound} asked",
    )
