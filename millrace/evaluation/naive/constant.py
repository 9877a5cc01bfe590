"""The naive rules that give every row the same answer: how often each class occurs, the median, or the mean."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from millrace.evaluation.evidence import Measure
from millrace.evaluation.gates.gate import Verdict, held_to
from millrace.evaluation.naive.rule import (
    LabelledRows,
    NaiveAnswer,
    NaiveGate,
    as_output,
    constant_answer,
    mean_answer,
    number,
)
from millrace.evaluation.report import Evaluation
from millrace.tasks.task import Task


class BaseRate(NaiveGate):
    """Answers each row with the shares of the classes before the test days. For rows without a season and rare classes.

    A model must beat it in log loss, by `margin` as a share of the rule's log loss. The error would not do: if one
    class is rare, a good model and no model are right equally often."""

    measure: ClassVar[Measure] = "log_loss"
    is_of_shares: ClassVar[bool | None] = True
    kind: Literal["base_rate"]

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
        return held_to(self.margin, measured, direction="at_least", figure=figure, unit="%", sentence=sentence)


class Median(NaiveGate):
    """Answers each row with the median of the labels before the test days.

    No constant has a smaller absolute error on those labels, and the error of a number, of an interval and of a
    forecast is absolute. If a few labels are very large, the mean is far above most labels: a model that beats the mean
    may still be worse than the median."""

    is_of_shares: ClassVar[bool | None] = False
    kind: Literal["median"]

    def answer(self, rows: LabelledRows, task: Task) -> NaiveAnswer:
        import numpy as np

        return constant_answer(np.median(as_output(rows.target_N[: rows.test.start], task), axis=0), rows)


class Mean(NaiveGate):
    """Answers each row with the mean of the labels before the test days.

    It is easy to beat if a few labels are very large."""

    is_of_shares: ClassVar[bool | None] = False
    kind: Literal["mean"]

    def answer(self, rows: LabelledRows, task: Task) -> NaiveAnswer:
        return mean_answer(rows, task)
