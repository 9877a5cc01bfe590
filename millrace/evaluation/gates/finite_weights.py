"""The gate `finite_weights`: every weight is a finite number. Safetensors loads NaN and infinity without an error."""

from __future__ import annotations

from millrace.evaluation.gates.gate import Gate, Verdict
from millrace.evaluation.report import Evaluation


class FiniteWeights(Gate):
    """Refuses a model with a weight that is NaN or infinity. It is always judged and has no bound to declare."""

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if the evaluation job found neither NaN nor infinity among the weights."""
        found = "are all finite" if report.finite_weights else "hold NaN or infinity"
        return Verdict(
            name="finite_weights",
            passed=report.finite_weights,
            measured=float(report.finite_weights),
            bound=1.0,
            sentence=f"the weights {found}",
        )
