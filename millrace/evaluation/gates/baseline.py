"""The model beats the workload's naive rule on the test rows."""

from __future__ import annotations

import math

from millrace.evaluation.gates.verdict import Verdict
from millrace.evaluation.report import Evaluation
from millrace.workload.declaration import Gates


def judge(report: Evaluation, gates: Gates) -> Verdict:
    """Passed when accuracy ≥ the naive rule's accuracy + margin.

    The base rate is beaten in log loss instead, by the margin as a share of the rule's own: where one class is rare,
    a good model and none are right equally often. Without the rule's log loss it fails."""
    metrics, rule = report.metrics, gates.baseline
    if rule.kind == "base_rate":
        naive = metrics.baseline_log_loss
        measured, bound = (1 - metrics.log_loss / naive if naive else math.nan), rule.margin
        sentence = (
            f"log loss {metrics.log_loss:.4f} on {report.rows.test} rows, {measured:+.4f} below the base rate's as a "
            f"share of it; at least {bound} asked"
        )
    else:
        measured, bound = metrics.accuracy, metrics.baseline_accuracy + rule.margin
        sentence = (
            f"accuracy {measured:.4f} on {report.rows.test} rows; at least {bound:.4f} asked, "
            f"{rule.margin} above {rule.kind}"
        )
    return Verdict(name="baseline", passed=measured >= bound, measured=measured, bound=bound, sentence=sentence)
