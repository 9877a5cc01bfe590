"""Every weight is a finite number: safetensors loads NaN and infinity without a word."""

from __future__ import annotations

from millrace.evaluation.gates.verdict import Verdict
from millrace.evaluation.report import Evaluation
from millrace.workload.declaration import Gates


def judge(report: Evaluation, gates: Gates) -> Verdict:  # noqa: ARG001  (all gates are called alike)
    """Passed when the job found no NaN and no infinity among the weights; needs no bound of the workload's."""
    found = "are all finite" if report.finite_weights else "hold NaN or infinity"
    return Verdict(
        name="finite_weights",
        passed=report.finite_weights,
        measured=float(report.finite_weights),
        bound=1.0,
        sentence=f"the weights {found}",
    )
