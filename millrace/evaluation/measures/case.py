"""All that a measure may look at: the candidate, the pinned rows, and what decides today.

Axes: N all rows, T test rows, W numbers of an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from millrace.datasets.examples import Examples
from millrace.evaluation.bootstrap import Bootstrap, Floats
from millrace.evaluation.evidence import Who
from millrace.features.catalogue import Features, encode
from millrace.tasks.task import Task

Tensors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class AnsweredCase:
    """The answers of one model or rule to the test rows."""

    who: Who
    name: str
    task: Task
    """The task of this model or rule. The classes of a champion may have another order than the candidate's."""
    output_TW: Floats
    """The numbers of the answers, only for the rows that `rows_T` selects, in their order."""
    target_T: npt.NDArray[Any]
    """The targets of the same rows, as `task` takes them."""
    rows_T: npt.NDArray[np.bool_]
    """Which of all test rows are answered."""

    @classmethod
    def of_all(cls, who: Who, name: str, task: Task, output_TW: Floats, target_T: npt.NDArray[Any]) -> Self:
        """The answers to all test rows."""
        rows_T = np.ones(len(output_TW), np.bool_)
        return cls(who=who, name=name, task=task, output_TW=output_TW, target_T=target_T, rows_T=rows_T)


@dataclass(frozen=True, kw_only=True)
class SplitRows(Examples):
    """The pinned rows that have a label, as targets, too. The table also has the columns that the gates name."""

    target_N: npt.NDArray[Any]
    """The labels as targets of the model's task."""

    @property
    def test(self) -> pa.Table:
        return self.part(self.parts.test)

    @property
    def test_targets(self) -> npt.NDArray[Any]:
        return self.target_N[self.parts.test]


@dataclass(frozen=True, kw_only=True)
class Case(SplitRows):
    """One evaluation of a candidate."""

    task: Task
    features: Features
    """The candidate's encoders, fitted on the training rows."""
    outputs: Callable[[Tensors], Floats]
    """The candidate as a function: the tensors of its features in, its answers out."""
    output_TW: Floats
    """The candidate's answers to the test rows."""
    today: AnsweredCase
    """What decides today: the champion, or the naive rule before there is a champion."""
    block_T: npt.NDArray[np.intp]
    """The block of each test row for the bootstrap: its day, or its entity if rows are not in time order."""
    entity_N: npt.NDArray[np.int64] | None = None
    """The declared entity of each row, whose rows may be alike; None where each row stands for itself."""

    # The cached properties are computed when a declared gate first reads them, and then shared by all measures.
    @cached_property
    def bootstrap(self) -> Bootstrap:
        return Bootstrap(self.block_T)

    @cached_property
    def test_tensors(self) -> Tensors:
        return encode(self.features, self.test)

    @cached_property
    def errors(self) -> npt.NDArray[np.float64]:
        return self.task.errors(self.output_TW, self.test_targets)

    def answered(self, who: Who, name: str, output_TW: Floats) -> AnsweredCase:
        """Another's answers to all test rows, by the candidate's task."""
        return AnsweredCase.of_all(who, name, self.task, output_TW, self.test_targets)
