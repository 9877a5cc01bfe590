"""The gate `latency`: the serving engine answers one row fast enough."""

from __future__ import annotations

from millrace.evaluation.gates.gate import Gate, Positive, Verdict, at_most
from millrace.evaluation.report import Evaluation


class Latency(Gate):
    max_p99_ms: Positive

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if the 99th percentile of the time of one call, in milliseconds, is at most `max_p99_ms`."""
        measured, bound = report.latency_ms.p99, self.max_p99_ms
        return at_most(
            "latency",
            measured,
            bound,
            figure="p99 of one call",
            unit="ms",
            sentence=f"p99 {measured:.3f} ms for {report.latency_ms.rows} row(s); at most {bound} ms allowed",
        )
