"""Counts which class was answered for which other one.

Axes: T test rows, K classes, P different mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.evaluation.evidence import Mistake

if TYPE_CHECKING:
    from millrace.evaluation.measures.case import Case

MOST = 10


def find_mistakes(case: Case) -> tuple[Mistake, ...]:
    """Up to MOST kinds of mistakes, the most frequent first; empty for a task whose answers are no classes."""
    task, target_T = case.task, case.test_targets
    words = task.class_names
    if not words:
        return ()
    if task.objective.width == 1:
        # One output stands for the second of two classes. Its value is 0 or 1, by the task's threshold.
        true_T, answered_T = (target_T > 0).astype(np.int64), task.answers(case.output_TW)["value"].astype(np.int64)
    else:
        true_T, answered_T = target_T, case.output_TW.argmax(axis=1)
    # How many rows each class has, then how often each pair of true and answered class occurs among the wrong answers.
    of_K = np.bincount(true_T, minlength=len(words))
    wrong_T = true_T != answered_T
    pairs_P2, count_P = np.unique(np.column_stack([true_T, answered_T])[wrong_T], axis=0, return_counts=True)
    # The most frequent first; of equally frequent ones the one that has the larger share of its class. `lexsort` sorts
    # by its last key first.
    order = np.lexsort((of_K[pairs_P2[:, 0]], -count_P))[:MOST]
    return tuple(
        Mistake(truth=words[true], answered=words[answered], rows=int(count), of=int(of_K[true]))
        for (true, answered), count in zip(pairs_P2[order].tolist(), count_P[order], strict=True)
    )
