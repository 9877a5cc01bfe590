"""The probabilities mean what they say."""

from __future__ import annotations

import math

from millrace.evaluation.gates.gate import Gate, Positive, Verdict
from millrace.evaluation.report import Evaluation


class Calibration(Gate):
    """For a task whose answers are probabilities."""

    max_ece: Positive

    def judge(self, report: Evaluation) -> Verdict:
        """Passed when the expected calibration error is at most `max_ece`; a report without one fails."""
        ece = report.metrics.get("ece")
        measured = math.nan if ece is None else ece
        return Verdict(
            name="calibration",
            passed=measured <= self.max_ece,
            measured=measured,
            bound=self.max_ece,
            sentence=f"expected calibration error {measured:.4f}; at most {self.max_ece} allowed",
        )
