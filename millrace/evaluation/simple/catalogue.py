"""The simple models by kind. Add a model: one file with its class, one line here, and one in `TAKES` of
`gates/simple.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy.typing as npt

from millrace.datasets.split import spread
from millrace.evaluation.bootstrap import Floats
from millrace.evaluation.evidence import Who
from millrace.evaluation.measures.case import AnsweredCase, Case
from millrace.evaluation.simple.boosted_trees import BoostedTrees
from millrace.evaluation.simple.linear import Linear
from millrace.evaluation.simple.matrix import Matrix, matrix
from millrace.features.catalogue import encode, signature
from millrace.tasks.task import Task

MOST_ROWS = 50_000
"""The most training rows that a simple model is fitted on, spread evenly: enough for a model of this size."""


class SimpleModel(Protocol):
    """One kind of simple model. Equal rows give equal answers: whatever is random has a fixed seed."""

    @staticmethod
    def fit(train: Matrix, target_M: npt.NDArray[Any], task: Task) -> Callable[[Matrix], Floats]:
        """The model that is fitted on the training rows: it gives its answers (N, W), in the form of the task."""
        ...


SIMPLE: dict[str, type[SimpleModel]] = {
    "linear": Linear,
    "boosted_trees": BoostedTrees,
}


def fit_and_answer(kinds: Mapping[str, Who], case: Case) -> list[AnsweredCase]:
    """The answers of the simple models of these kinds to all test rows, each as whom the mapping says.

    They are fitted on the candidate's training rows, at most MOST_ROWS of them."""
    from threadpoolctl import threadpool_limits

    if not kinds:
        return []
    declared, rows = signature(case.features), spread(case.parts.train, MOST_ROWS)
    train = matrix(encode(case.features, case.table.take(rows)), declared)
    test = matrix(case.test_tensors, declared)
    # One thread: so small a model gains little from more threads, and waits long for them if cores are shared.
    with threadpool_limits(limits=1):
        return [
            case.answered(who, kind.replace("_", " "), SIMPLE[kind].fit(train, case.target_N[rows], case.task)(test))
            for kind, who in kinds.items()
        ]
