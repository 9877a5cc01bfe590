"""The gate `freshness`: the rows that the model was evaluated on are recent."""

from __future__ import annotations

import math

from millrace.evaluation.gates.gate import Gate, Positive, Verdict, at_most
from millrace.evaluation.report import Evaluation


class Freshness(Gate):
    max_age_days: Positive
    """The most days from the end of the test days to the time of the training."""

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if the test days ended at most `max_age_days` before the training; a report without the age fails."""
        age = math.nan if report.age_days is None else report.age_days
        return at_most(
            "freshness",
            age,
            self.max_age_days,
            figure="age of the test days",
            unit="days",
            sentence=f"the test days ended {age:.1f} days before the training; at most {self.max_age_days:g} allowed",
        )
