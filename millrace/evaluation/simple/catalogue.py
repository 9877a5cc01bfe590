"""The simple models by kind. Add a model: one file with its class, one line here, and one in `TAKES` of
`gates/simple.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.evaluation.measures.case import Answered
from millrace.evaluation.simple.boosted_trees import BoostedTrees
from millrace.evaluation.simple.linear import Linear
from millrace.evaluation.simple.matrix import matrix
from millrace.evaluation.simple.model import MOST_ROWS, SimpleModel
from millrace.features.catalogue import encode, signature

if TYPE_CHECKING:
    from millrace.evaluation.evidence import Who
    from millrace.evaluation.measures.case import Case

SIMPLE: dict[str, type[SimpleModel]] = {
    "linear": Linear,
    "boosted_trees": BoostedTrees,
}


def fit_and_answer(kind: str, case: Case, who: Who = "simple") -> Answered:
    """The answers of the simple model of this kind to all test rows.

    It is fitted on the candidate's training rows, at most MOST_ROWS of them."""
    from threadpoolctl import threadpool_limits

    declared, rows = signature(case.features), case.spread(case.parts.train, MOST_ROWS)
    train = matrix(encode(case.features, case.table.take(rows)), declared)
    test = matrix(case.test_tensors, declared)
    # One thread: so small a model gains little from more threads, and waits long for them if cores are shared.
    with threadpool_limits(limits=1):
        output_TW = SIMPLE[kind].answers(train, case.target_N[rows], test, case.task)
    everywhere_T = np.ones(len(output_TW), np.bool_)
    return Answered(
        who=who,
        name=kind.replace("_", " "),
        task=case.task,
        output_TW=output_TW,
        target_T=case.test_targets,
        rows_T=everywhere_T,
    )
