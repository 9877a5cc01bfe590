"""The simple models by kind. Add a model: one file with its class, one line here, and one in `TAKES` of
`gates/simple.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from millrace.datasets.split import spread
from millrace.evaluation.simple.boosted_trees import BoostedTrees
from millrace.evaluation.simple.linear import Linear
from millrace.evaluation.simple.matrix import matrix
from millrace.evaluation.simple.model import MOST_ROWS, SimpleModel
from millrace.features.catalogue import encode, signature

if TYPE_CHECKING:
    from millrace.evaluation.evidence import Who
    from millrace.evaluation.measures.case import AnsweredCase, Case

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
            case.answered(
                who, kind.replace("_", " "), SIMPLE[kind].answers(train, case.target_N[rows], test, case.task)
            )
            for kind, who in kinds.items()
        ]
