"""The naive rule `median`: it always answers the median."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from millrace.evaluation.naive.rule import LabelledRows, NaiveAnswer, NaiveGate, as_output, constant_answer

if TYPE_CHECKING:
    from millrace.tasks.task import Task


class Median(NaiveGate):
    """Answers each row with the median of the labels before the test days.

    No constant has a smaller absolute error on those labels, and the error of a number, of an interval and of a
    forecast is absolute. If a few labels are very large, the mean is far above most labels: a model that beats the mean
    may still be worse than the median."""

    kind: Literal["median"]

    @classmethod
    def suits(cls, task: Task) -> bool:
        """Whether the task predicts a number."""
        return not task.error_is_share

    def answer(self, rows: LabelledRows, task: Task) -> NaiveAnswer:
        import numpy as np

        return constant_answer(np.median(as_output(rows.target_N[: rows.test.start], task), axis=0), rows)
