"""The simple models by kind. Add one: a file with its class, a line here, its kind and what it takes in
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
    from millrace.evaluation.gates.simple import SimpleKind
    from millrace.evaluation.measures.case import Case

SIMPLE: dict[SimpleKind, type[SimpleModel]] = {
    "linear": Linear,
    "boosted_trees": BoostedTrees,
}


def fit_and_answer(kind: SimpleKind, case: Case) -> Answered:
    """The answers of the simple model of this kind, fitted on the training rows of the candidate."""
    from threadpoolctl import threadpool_limits

    declared, rows = signature(case.features), case.spread(case.parts.train, MOST_ROWS)
    train = matrix(encode(case.features, case.table.take(rows)), declared)
    test = matrix(case.test_tensors, declared)
    # One thread: so small a model gains little from more, and waits long for them where cores are shared.
    with threadpool_limits(limits=1):
        output_TW = SIMPLE[kind].answers(train, case.target_N[rows], test, case.task)
    everywhere_T = np.ones(len(output_TW), np.bool_)
    return Answered(
        who="simple",
        name=kind.replace("_", " "),
        task=case.task,
        output_TW=output_TW,
        target_T=case.test_targets,
        rows_T=everywhere_T,
    )
