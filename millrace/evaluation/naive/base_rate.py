"""The naive rule `base_rate`: it always answers how often each class occurs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from millrace.evaluation.evidence import Measure
from millrace.evaluation.gates.gate import Verdict, at_least
from millrace.evaluation.naive.rule import LabelledRows, NaiveAnswer, NaiveGate, mean_answer, number
from millrace.evaluation.report import Evaluation

if TYPE_CHECKING:
    from millrace.tasks.task import Task


class BaseRate(NaiveGate):
    """Answers each row with the shares of the classes before the test days. For rows without a season and rare classes.

    A model must beat it in log loss, by `margin` as a share of the rule's log loss. The error would not do: if one
    class is rare, a good model and no model are right equally often."""

    measure: ClassVar[Measure] = "log_loss"
    kind: Literal["base_rate"]

    @classmethod
    def suits(cls, task: Task) -> bool:
        """Whether the task's error is a share of answers: such a task has a log loss."""
        return task.error_is_share

    def answer(self, rows: LabelledRows, task: Task) -> NaiveAnswer:
        return mean_answer(rows, task)

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if 1 − (model's log loss / rule's log loss) ≥ margin; a report without both figures fails."""
        loss, naive = report.metrics.get("log_loss"), report.naive.metrics.get("log_loss")
        measured = math.nan if loss is None or not naive else 1 - loss / naive
        sentence = (
            f"log loss {number(loss):.4f} on {report.rows.test} rows, {measured:.1%} below the base rate's; at least "
            f"{self.margin:.1%} required"
        )
        figure = "log loss saved against the base rate"
        return at_least("baseline", measured, self.margin, figure=figure, unit="%", sentence=sentence)
