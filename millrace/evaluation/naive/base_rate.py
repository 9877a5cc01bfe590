"""The rule that always answers how often each class occurs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from millrace.evaluation.gates.gate import Verdict, at_least
from millrace.evaluation.naive.rule import LabelledRows, NaiveAnswer, NaiveGate, mean_answer, number
from millrace.evaluation.report import Evaluation

if TYPE_CHECKING:
    from millrace.tasks.task import Task


class BaseRate(NaiveGate):
    """How often each class occurs before the test days, always: for rows without a season, and for rare classes.

    It is beaten in log loss, by `margin` as a share of the rule's: where one class is rare, a good model and none are
    right equally often."""

    kind: Literal["base_rate"]

    @classmethod
    def suits(cls, task: Task) -> bool:
        """Whether the task's error is a share of answers: it then has a log loss."""
        return task.error_is_share

    def answer(self, rows: LabelledRows, task: Task) -> NaiveAnswer:
        return mean_answer(rows, task)

    def judge(self, report: Evaluation) -> Verdict:
        """Passed when 1 − log loss / the rule's ≥ margin; without both figures it fails."""
        loss, naive = report.metrics.get("log_loss"), report.naive.metrics.get("log_loss")
        measured = math.nan if loss is None or not naive else 1 - loss / naive
        sentence = (
            f"log loss {number(loss):.4f} on {report.rows.test} rows, {measured:.1%} below the base rate's; at least "
            f"{self.margin:.1%} required"
        )
        figure = "log loss saved against the base rate"
        return at_least("baseline", measured, self.margin, figure=figure, unit="%", sentence=sentence)
