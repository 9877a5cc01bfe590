"""One answer is fast enough on the serving engine."""

from __future__ import annotations

from millrace.evaluation.gates.verdict import Verdict
from millrace.evaluation.report import Evaluation
from millrace.workload.declaration import Gates


def judge(report: Evaluation, gates: Gates) -> Verdict:
    """Passed when the 99th percentile of one call, in milliseconds, is at most the workload's bound."""
    measured, bound = report.latency_ms.p99, gates.latency.max_p99_ms
    return Verdict(
        name="latency",
        passed=measured <= bound,
        measured=measured,
        bound=bound,
        sentence=f"p99 {measured:.3f} ms for {report.latency_ms.rows} row(s); at most {bound} ms asked",
    )
