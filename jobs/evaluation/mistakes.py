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
    # The target of two classes is a number: 0 or 1.
    true_T = target_T.astype(np.int64)
    answered_T = task.said(case.output_TW).astype(np.int64)  # type: ignore[attr-defined]
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
