"""Which class was answered for which, the most frequent mistakes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.evaluation.evidence import Mistake
from millrace.tasks.binary import Binary
from millrace.tasks.multiclass import Multiclass

if TYPE_CHECKING:
    from millrace.evaluation.measures.case import Case

MOST = 10


def find_mistakes(case: Case) -> tuple[Mistake, ...]:
    """Of answers that are one of two or several classes; none for another task."""
    task, target_T = case.task, case.test_targets
    if isinstance(task, Binary):
        words: tuple[str, ...] = (f"not {task.positive}", str(task.positive))
        true_T, answered_T = (target_T > 0).astype(np.int64), task.answers(case.output_TW)["value"].astype(np.int64)
    elif isinstance(task, Multiclass):
        words, true_T, answered_T = task.output_names, target_T, case.output_TW.argmax(axis=1)
    else:
        return ()
    of_K = np.bincount(true_T, minlength=len(words))
    wrong_T = true_T != answered_T
    pairs_P2, count_P = np.unique(np.column_stack([true_T, answered_T])[wrong_T], axis=0, return_counts=True)
    # The most frequent first; of equally frequent ones that with the larger share of its class.
    order = np.lexsort((of_K[pairs_P2[:, 0]], -count_P))[:MOST]
    return tuple(
        Mistake(truth=words[true], answered=words[answered], rows=int(count), of=int(of_K[true]))
        for (true, answered), count in zip(pairs_P2[order].tolist(), count_P[order], strict=True)
    )
