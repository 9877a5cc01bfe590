"""The gate `calibration`: the model's probabilities mean what they say."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from millrace.evaluation.gates.gate import Gate, Positive, Verdict, at_most
from millrace.evaluation.report import Evaluation

if TYPE_CHECKING:
    from millrace.features.signature import Signature
    from millrace.tasks.task import Task


class Calibration(Gate):
    """Refuses a model whose probabilities are off, for a task whose answers are probabilities: `{max_ece: 0.15}`."""

    max_ece: Positive
    """The largest expected calibration error that passes, a share 0 to 1."""

    def misfit(self, task: Task, features: Signature) -> str:
        if task.objective.is_calibrated:
            return ""
        return f"no such gate for the task {task.kind}, whose answers are no probabilities"

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if the expected calibration error is at most `max_ece`; a report without that figure fails."""
        ece = report.metrics.get("ece")
        measured = math.nan if ece is None else ece
        return at_most(
            "calibration",
            measured,
            self.max_ece,
            figure="expected calibration error",
            sentence=f"expected calibration error {measured:.4f}; at most {self.max_ece} allowed",
        )
