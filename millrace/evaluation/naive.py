"""The naive rules that a model must beat. Add a rule: a function and a line in RULES, and its gate in `gates/baseline`.

A rule answers in the task's own form, so the task's metrics judge it as they judge a model. N rows of the snapshot in
the order of event time, T of them test rows, W numbers of an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from millrace.errors import SnapshotError
from millrace.evaluation.report import NaiveFigures

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.evaluation.gates.baseline import BaseRate, Mean, SeasonalNaive
    from millrace.tasks.task import Task

    Floats = npt.NDArray[np.floating]


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

    output_TW: Floats
    """Of the rows that it can answer, in their order."""
    rows_T: npt.NDArray[np.bool_]
    """Which ones these are."""


def naive_figures(gate: SeasonalNaive | BaseRate | Mean, rows: LabelledRows, task: Task) -> NaiveFigures:
    """The task's metrics of the rule that the workload's gate names, on the test rows that the rule can answer.

    Raises SnapshotError where it can answer none of them."""
    found = RULES[gate.kind](gate, rows, task)
    target_T = rows.target_N[rows.test][found.rows_T]
    metrics = task.metrics(found.output_TW, target_T)
    return NaiveFigures(rule=gate.kind, rows=len(target_T), metrics=metrics)


def as_output(target_N: npt.NDArray[Any], task: Task) -> npt.NDArray[np.float32]:
    """The answers (N, W) of a model that is sure of each target and right: a class has probability 1, a count its rate.

    A task's metrics bear such extremes: `log_loss` keeps away from 0 and 1."""
    if task.objective.target == "int64":
        certain_NW: npt.NDArray[np.float32] = np.eye(task.objective.width, dtype=np.float32)[target_N]
        return certain_NW
    amounts_NW: npt.NDArray[np.float32] = target_N.astype(np.float32)[:, None]
    return amounts_NW


def mean_output(gate: Any, rows: LabelledRows, task: Task) -> NaiveAnswer:  # noqa: ARG001  (all rules are called alike)
    """The mean of the rows before the test days, always: of classes their shares, of numbers the mean."""
    before_W = as_output(rows.target_N[: rows.test.start], task).mean(axis=0)
    count = len(rows.target_N[rows.test])
    return NaiveAnswer(output_TW=np.tile(before_W, (count, 1)), rows_T=np.ones(count, np.bool_))


def seasonal_output(gate: SeasonalNaive, rows: LabelledRows, task: Task) -> NaiveAnswer:
    """The label of the same entity `lag_hours` before, on the rows that have such a row before them."""
    # By key and time, not by position: rows may be missing, and several entities share the table.
    lag = np.timedelta64(round(gate.lag_hours * 3600), "s")
    row_of = {key: row for row, key in enumerate(zip(rows.entity_N, rows.times_N.tolist(), strict=True))}
    sought = zip(rows.entity_N[rows.test], (rows.times_N[rows.test] - lag).tolist(), strict=True)
    before_T = np.array([row_of.get(key, -1) for key in sought], dtype=np.int64)
    rows_T = before_T >= 0
    if not rows_T.any():
        raise SnapshotError(f"expected test rows with a row {lag} before them, got none")
    return NaiveAnswer(output_TW=as_output(rows.target_N[before_T[rows_T]], task), rows_T=rows_T)


RULES: dict[str, Callable[[Any, LabelledRows, Task], NaiveAnswer]] = {
    "seasonal_naive": seasonal_output,
    "base_rate": mean_output,
    "mean": mean_output,
}
