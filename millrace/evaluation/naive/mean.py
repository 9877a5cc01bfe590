"""The naive rule `mean`: it always answers the mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from millrace.evaluation.naive.rule import LabelledRows, NaiveAnswer, NaiveGate, mean_answer

if TYPE_CHECKING:
    from millrace.tasks.task import Task


class Mean(NaiveGate):
    """Answers each row with the mean of the labels before the test days.

    It is easy to beat if a few labels are very large."""

    kind: Literal["mean"]

    @classmethod
    def suits(cls, task: Task) -> bool:
        """Whether the task predicts a number."""
        return not task.error_is_share

    def answer(self, rows: LabelledRows, task: Task) -> NaiveAnswer:
        return mean_answer(rows, task)
