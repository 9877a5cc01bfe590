"""The scores of the candidate and of what it is compared with, with intervals, and their paired differences.

Axes: T test rows, R the test rows that a contender answers, P parts of an answer, W numbers of an answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from millrace.evaluation.bootstrap import Bootstrap, Floats
from millrace.evaluation.evidence import Contender
from millrace.evaluation.measures.case import AnsweredCase, Case
from millrace.tasks.task import Task

Scores = dict[str, npt.NDArray[np.float64]]

LEAST = 1e-7
"""Probabilities are kept this far from 0 and 1. `log_loss` in `millrace/tasks/metrics.py` keeps the same distance."""


def contenders(case: Case, others: Iterable[AnsweredCase], name: str = "this model") -> tuple[Contender, ...]:
    """The candidate, called by the name, then each of the others.

    An improvement is the other's score minus the candidate's, on the rows that both answer."""
    own = scores(case.task, case.output_TW, case.test_targets)
    intervals = {name: case.bootstrap.mean(score_T) for name, score_T in own.items()}
    candidate = Contender(who="candidate", name=name, rows=len(case.test_targets), scores=intervals)
    return (candidate, *(_contender(case, own, other) for other in others))


def _contender(case: Case, own: Scores, other: AnsweredCase) -> Contender:
    rows_T = other.rows_T
    # If some rows are missing, whole blocks may be. `unique` numbers the blocks that are left from 0 again.
    bootstrap = case.bootstrap if rows_T.all() else Bootstrap(np.unique(case.block_T[rows_T], return_inverse=True)[1])
    theirs = scores(other.task, other.output_TW, other.target_T)
    return Contender(
        who=other.who,
        name=other.name,
        rows=int(rows_T.sum()),
        scores={name: bootstrap.mean(score_R) for name, score_R in theirs.items()},
        improvements={name: bootstrap.mean(score_R - own[name][rows_T]) for name, score_R in theirs.items()},
    )


def scores(task: Task, output_RW: Floats, target_R: npt.NDArray[Any]) -> Scores:
    """The cost of each row (R) by the name of the score.

    `error` is the task's error. `log_loss` is −log of the probability that the answer gave to the label; only tasks
    whose answers are probabilities have it."""
    found: Scores = {"error": task.errors(output_RW, target_R).astype(np.float64)}
    if task.objective.is_calibrated:
        costs = -np.log(np.clip(likelihood(output_RW, target_R), LEAST, 1 - LEAST))
        # (R) stays (R); of several labels, (R, P), each row has the mean of its parts.
        found["log_loss"] = costs.reshape(len(costs), -1).mean(axis=1)
    return found


def likelihood(output_RW: Floats, target_R: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The probability that each answer gave to the row's label: (R), or (R, P) for several labels per row.

    For two classes the output has one number, the probability of the positive class. For several classes it has one
    for each class, for several labels one for each label."""
    if target_R.ndim == 2:
        p_RP = output_RW.astype(np.float64)
        return np.where(target_R > 0, p_RP, 1 - p_RP)
    if output_RW.shape[1] == 1:
        p_R = output_RW[:, 0].astype(np.float64)
        return np.where(target_R > 0, p_R, 1 - p_R)
    of_several: npt.NDArray[np.float64] = output_RW[np.arange(len(target_R)), target_R].astype(np.float64)
    return of_several
