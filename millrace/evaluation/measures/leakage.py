"""Finds columns that alone give the label away.

Axes: M training rows, T test rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from millrace.evaluation.gates.leakage import FeatureLeak, Leakage, LeakageEvidence
from millrace.evaluation.measures.case import Case
from millrace.features.catalogue import columns
from millrace.tasks.task import Task

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]

BINS = 256
"""How many ranges a number is cut into, by the quantiles of the training rows."""


def measure(_: Leakage, case: Case) -> LeakageEvidence:
    """The columns, the one that explains most first."""
    return LeakageEvidence(features=tuple(sorted(_leaks(case), key=lambda one: -one.explained)))


def _leaks(case: Case) -> Iterator[FeatureLeak]:
    """How well each column alone predicts the label; images and times are left out."""
    train = case.parts.train
    for name in columns(case.features):
        code = _codes(case.part(train)[name], case.test[name])
        if code is not None:
            explained = _explained(*code, case.target_N[train], case.test_targets, case.task)
            yield FeatureLeak(column=name, explained=explained)


def _codes(train: pa.ChunkedArray, test: pa.ChunkedArray) -> tuple[Integers, Integers] | None:
    """The value of each row as a small whole number, (M) and (T); None for images and times.

    0 stands for a missing number and for a value that no training row has."""
    kind = train.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers = [np.array(cells.cast(pa.float64(), safe=False).to_pylist(), np.float64) for cells in (train, test)]
        edges = np.unique(np.nanquantile(numbers[0], np.linspace(0, 1, BINS + 1)[1:-1]))
        found = [np.where(np.isnan(x), 0, np.searchsorted(edges, x) + 1) for x in numbers]
        return found[0], found[1]
    if not (pa.types.is_string(kind) or pa.types.is_boolean(kind)):
        return None
    place = {value: at for at, value in enumerate(dict.fromkeys(train.to_pylist()), start=1)}
    train_M, test_T = (
        np.array([place.get(cell, 0) for cell in cells.to_pylist()], np.int64) for cells in (train, test)
    )
    return train_M, test_T


def _explained(code_M: Integers, code_T: Integers, target_M: Array, target_T: Array, task: Task) -> float:
    """The share of the best constant answer's error that the best answer for each value removes.

    The answers are fitted on the training rows and judged on the test rows. For classes the best answer is the most
    frequent class, for numbers the median."""

    def error(answer: Any) -> float:
        return float(np.mean(answer != target_T if task.error_is_share else np.abs(answer - target_T)))

    best = _majority if task.error_is_share else np.median
    constant = best(target_M)
    answers = np.full(max(int(code_M.max()), int(code_T.max())) + 1, constant, np.float64)
    # Training rows sorted by value, cut where the value changes: one part of the targets for each value.
    order = np.argsort(code_M, kind="stable")
    values, starts = np.unique(code_M[order], return_index=True)
    for value, part in zip(values, np.split(target_M[order], starts[1:]), strict=True):
        answers[value] = best(part)
    before = error(constant)
    return 1 - error(answers[code_T]) / before if before else 0.0


def _majority(target: Array) -> float:
    values, counts = np.unique(target, return_counts=True)
    return float(values[counts.argmax()])
