"""The model beats the workload's naive rule on the test rows."""

from __future__ import annotations

from millrace.evaluation import Evaluation
from millrace.gates.verdict import Verdict
from millrace.workload import Gates


def judge(report: Evaluation, gates: Gates) -> Verdict:
    """Passed when accuracy ≥ the naive rule's accuracy + margin."""
    measured = report.metrics.accuracy
    bound = report.metrics.baseline_accuracy + gates.baseline.margin
    return Verdict(
        name="baseline",
        passed=measured >= bound,
        measured=measured,
        bound=bound,
        sentence=(
            f"accuracy {measured:.4f} on {report.rows.test} rows; at least {bound:.4f} asked, "
            f"{gates.baseline.margin} above {gates.baseline.kind}"
        ),
    )
