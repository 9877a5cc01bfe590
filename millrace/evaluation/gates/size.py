"""The gate `size`: the model's archive is small enough to be loaded quickly."""

from __future__ import annotations

from millrace.evaluation.gates.gate import Gate, Positive, Verdict
from millrace.evaluation.report import Evaluation


class Size(Gate):
    max_mb: Positive

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if model.tar.gz is not empty and at most `max_mb` MB of 10⁶ bytes."""
        measured, bound = report.size_mb, self.max_mb
        return Verdict(
            name="size",
            passed=0 < measured <= bound,
            measured=measured,
            bound=bound,
            figure="model.tar.gz",
            unit="MB",
            sentence=f"model.tar.gz is {measured:.3f} MB; at most {bound} MB allowed",
        )
