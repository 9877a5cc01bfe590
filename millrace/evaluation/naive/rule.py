"""The base class of naive rules: the gate `baseline` with its bounds and judgement, and the rule's own answers.

A rule answers in the form of the task, so the task's metrics judge it like a model. Axes: N rows of the snapshot in its
order, the rows to train on before the T test rows; P parts and W numbers of an answer.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field

from millrace.evaluation.evidence import Measure
from millrace.evaluation.gates.gate import Gate, Verdict, held_to
from millrace.evaluation.report import Evaluation

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.tasks.task import Task

Margin = Annotated[float, Field(ge=0, lt=1)]
BEFORE_TEST_DAYS = math.inf
"""The `label_age_hours` of a rule that answers all test rows by the labels before the test days.

Such labels are known in time whatever the horizon: the split leaves rows out whose label lies in the next part."""


@dataclass(frozen=True, kw_only=True)
class LabelledRows:
    """All labelled rows, and which of them are the test rows."""

    target_N: npt.NDArray[Any]
    """The labels as `task.targets` gives them."""
    times_N: npt.NDArray[np.datetime64]
    entity_N: Sequence[Hashable]
    """The entity of each row: the cells of its key without the event time."""
    test: slice

    @classmethod
    def of(
        cls,
        table: pa.Table,
        target_N: npt.NDArray[Any],
        times_N: npt.NDArray[np.datetime64],
        *,
        key: Sequence[str],
        event_time: str,
        test: slice,
    ) -> Self:
        """The rows of a table with these labels and times. A key of the time alone is a single entity, ()."""
        columns = [table[name].to_pylist() for name in key if name != event_time]
        entity_N = list(zip(*columns, strict=True)) if columns else [()] * table.num_rows
        return cls(target_N=target_N, times_N=times_N, entity_N=entity_N, test=test)


@dataclass(frozen=True, kw_only=True)
class NaiveAnswer:
    """The answers of a rule to the test rows."""

    output_TW: npt.NDArray[np.floating]
    """The answers to the rows that the rule can answer, in their order."""
    rows_T: npt.NDArray[np.bool_]
    """Which of all test rows the rule can answer."""
    is_constant: bool = False
    """Whether every row has the same answer."""


class NaiveGate(Gate):
    """One naive rule. A subclass declares its `kind`, and `label_age_hours` if it looks back from each row."""

    measure: ClassVar[Measure] = "error"
    """What a model and the rule are compared by."""
    is_of_shares: ClassVar[bool | None] = None
    """Whether it is for tasks whose error is a share of answers, which have a log loss, or for numbers; None: both."""
    kind: str
    margin: Margin
    """By how much the model's error must lie below the rule's.

    It is a difference of two shares; for an error that is an amount, a share of the rule's error."""

    @property
    def label_age_hours(self) -> float:
        """How many hours before a row the youngest label lies that its answer uses.

        A label is known only `horizon_hours` after its row, so a declaration with younger labels is refused."""
        return BEFORE_TEST_DAYS

    def label_hours(self, horizons: Sequence[float]) -> tuple[float, ...]:
        """How many hours after a row the labels lie that it repeats at these horizons: 0, or less for one before it."""
        age = self.label_age_hours
        return tuple(hours - age * max(math.ceil(hours / age), 1) for hours in horizons)

    @classmethod
    def suits(cls, task: Task) -> bool:
        """Whether the rule makes sense for the task."""
        return cls.is_of_shares in (None, task.error_is_share)

    def answer(self, rows: LabelledRows, task: Task) -> NaiveAnswer:
        """The rule's answers to the test rows. Raises SnapshotError if it can answer none of them."""
        raise NotImplementedError

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if the model's error is at most the rule's error − margin; for amounts, the rule's × (1 − margin).

        A report without both errors fails."""
        measured, naive = number(report.metrics.get("error")), number(report.naive.metrics.get("error"))
        bound = naive - self.margin if report.error.is_share else naive * (1 - self.margin)
        words = self.kind.replace("_", " ")
        below = f"{self.margin} below {words}" if report.error.is_share else f"{self.margin:.0%} below {words}"
        sentence = (
            f"{report.error.name} {report.error.amount(measured)} on {report.rows.test} rows; at most "
            f"{report.error.amount(bound)} allowed, {below} ({report.error.amount(naive)})"
        )
        return held_to(bound, measured, figure=report.error.name, unit=report.error.unit, sentence=sentence)


def number(value: float | None) -> float:
    """The figure; NaN for None."""
    # Each comparison with NaN is false: without a figure the gate fails.
    return math.nan if value is None else value


def as_output(target_N: npt.NDArray[Any], task: Task) -> npt.NDArray[np.float32]:
    """The answers (N, W) of a model that gives each target with certainty.

    The label's class has probability 1, a number is the number itself (for a count, its rate). The task's metrics can
    take such extremes: `log_loss` keeps away from 0 and 1."""
    import numpy as np

    if task.objective.target == "int64":
        certain_NW: npt.NDArray[np.float32] = np.eye(task.objective.width, dtype=np.float32)[target_N]
        return certain_NW
    # An interval of no width: its lower and upper end are the amount too, for a forecast at each horizon.
    amounts_NP = target_N.astype(np.float32).reshape(len(target_N), -1)
    amounts_NW: npt.NDArray[np.float32] = np.repeat(amounts_NP, task.objective.width // amounts_NP.shape[1], axis=1)
    return amounts_NW


def mean_answer(rows: LabelledRows, task: Task) -> NaiveAnswer:
    """The mean label of the rows before the test days, as the answer to every test row.

    For classes the mean is their shares."""
    return constant_answer(as_output(rows.target_N[: rows.test.start], task).mean(axis=0), rows)


def constant_answer(output_W: npt.NDArray[np.floating], rows: LabelledRows) -> NaiveAnswer:
    """The same answer `output_W` to every test row."""
    import numpy as np

    count = len(rows.target_N[rows.test])
    return NaiveAnswer(output_TW=np.tile(output_W, (count, 1)), rows_T=np.ones(count, np.bool_), is_constant=True)
