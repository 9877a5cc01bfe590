"""The probabilities mean what they say."""

from __future__ import annotations

import math

from millrace.evaluation.gates.gate import Gate, Positive, Verdict, at_most
from millrace.evaluation.report import Evaluation


class Calibration(Gate):
    """For a task whose answers are probabilities."""

    max_ece: Positive

    def judge(self, report: Evaluation) -> Verdict:
        """Passed when the expected calibration error is at most `max_ece`; a report without one fails."""
        ece = report.metrics.get("ece")
        measured = math.nan if ece is None else ece
        return at_most(
            "calibration",
            measured,
            self.max_ece,
            figure="expected calibration error",
            sentence=f"expected calibration error {measured:.4f}; at most {self.max_ece} allowed",
        )
