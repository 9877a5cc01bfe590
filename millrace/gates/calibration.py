"""The probabilities mean what they say."""

from __future__ import annotations

from millrace.evaluation import Evaluation
from millrace.gates.verdict import Verdict
from millrace.workload import Gates


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
