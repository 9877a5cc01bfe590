"""What every naive rule offers: as the gate `baseline` its bounds and judgement, and its answers to the test rows.

A rule answers in the task's own form, so the task's metrics judge it as they judge a model. N rows of the snapshot in
its order, those to train on before the T test rows; W numbers of an answer.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from millrace.evaluation.gates.gate import Gate, Verdict, at_most
from millrace.evaluation.report import Evaluation

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.tasks.task import Task

Margin = Annotated[float, Field(ge=0, lt=1)]
BEFORE_TEST_DAYS = math.inf
"""The age of the labels of a rule that looks back from no row: the horizon is left out between the parts."""


@dataclass(frozen=True, kw_only=True)
class LabelledRows:
    """All labelled rows, and which of them are the test rows."""

    target_N: npt.NDArray[Any]
    """As `task.targets` gives them."""
    times_N: npt.NDArray[np.datetime64]
    entity_N: Sequence[Hashable]
    """Whose row it is: its key without the event time."""
    test: slice


@dataclass(frozen=True, kw_only=True)
class NaiveAnswer:
    """What a rule answers on the test rows."""

    output_TW: npt.NDArray[np.floating]
    """Of the rows that it can answer, in their order."""
    rows_T: npt.NDArray[np.bool_]
    """Which ones these are."""


class NaiveGate(Gate):
    """One rule; a class declares its `kind` and, where the labels have an age, `label_age_hours`."""

    kind: str
    margin: Margin
    """By how much the model's error must lie below the rule's: of an amount in the label's unit a share of it."""

    @property
    def label_age_hours(self) -> float:
        """How long before a row the youngest label lies that the rule answers it from."""
        return BEFORE_TEST_DAYS

    @classmethod
    def suits(cls, task: Task) -> bool:  # noqa: ARG003 - a rule that suits every task looks at none
        """Whether the rule makes sense for the task."""
        return True

    def answer(self, rows: LabelledRows, task: Task) -> NaiveAnswer:
        """The rule's answers to the test rows; raises SnapshotError where it can answer none of them."""
        raise NotImplementedError

    def judge(self, report: Evaluation) -> Verdict:
        """Passed when the error is at most the rule's error − margin (of an amount: × (1 − margin))."""
        measured, naive = number(report.metrics.get("error")), number(report.naive.metrics.get("error"))
        bound = naive - self.margin if report.error.is_share else naive * (1 - self.margin)
        words = self.kind.replace("_", " ")
        below = f"{self.margin} below {words}" if report.error.is_share else f"{self.margin:.0%} below {words}"
        sentence = (
            f"{report.error.name} {report.error.amount(measured)} on {report.rows.test} rows; at most "
            f"{report.error.amount(bound)} allowed, {below} ({report.error.amount(naive)})"
        )
        return at_most("baseline", measured, bound, figure=report.error.name, unit=report.error.unit, sentence=sentence)


def number(value: float | None) -> float:
    """The figure; NaN, which passes no gate, where there is none."""
    # Each comparison with NaN is false: without a figure the gate fails.
    return math.nan if value is None else value


def as_output(target_N: npt.NDArray[Any], task: Task) -> npt.NDArray[np.float32]:
    """The answers (N, W) of a model that is sure of each target and right: a class has probability 1, a count its rate.

    A task's metrics bear such extremes: `log_loss` keeps away from 0 and 1."""
    import numpy as np

    if task.objective.target == "int64":
        certain_NW: npt.NDArray[np.float32] = np.eye(task.objective.width, dtype=np.float32)[target_N]
        return certain_NW
    # Of an interval both ends are the amount too, of a forecast those of each horizon.
    amounts_NP = target_N.astype(np.float32).reshape(len(target_N), -1)
    amounts_NW: npt.NDArray[np.float32] = np.repeat(amounts_NP, task.objective.width // amounts_NP.shape[1], axis=1)
    return amounts_NW


def mean_answer(rows: LabelledRows, task: Task) -> NaiveAnswer:
    """The mean of the rows before the test days, always: of classes their shares, of numbers the mean."""
    return constant_answer(as_output(rows.target_N[: rows.test.start], task).mean(axis=0), rows)


def constant_answer(output_W: npt.NDArray[np.floating], rows: LabelledRows) -> NaiveAnswer:
    """The same answer to every test row."""
    import numpy as np

    count = len(rows.target_N[rows.test])
    return NaiveAnswer(output_TW=np.tile(output_W, (count, 1)), rows_T=np.ones(count, np.bool_))
