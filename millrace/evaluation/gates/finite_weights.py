"""Every weight is a finite number: safetensors loads NaN and infinity without a word."""

from __future__ import annotations

from millrace.evaluation.gates.gate import Gate, Verdict
from millrace.evaluation.report import Evaluation


class FiniteWeights(Gate):
    """Always judged; there is no bound to declare."""

    def judge(self, report: Evaluation) -> Verdict:
        """Passed when the job found no NaN and no infinity among the weights."""
        found = "are all finite" if report.finite_weights else "hold NaN or infinity"
        return Verdict(
            name="finite_weights",
            passed=report.finite_weights,
            measured=float(report.finite_weights),
            bound=1.0,
            sentence=f"the weights {found}",
        )
