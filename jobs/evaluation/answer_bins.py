"""What came where a number of about the same size was answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.evaluation.evidence import AnswerBin

if TYPE_CHECKING:
    from millrace.evaluation.measures.case import Case

MOST, LEAST_ROWS = 20, 10
"""Groups, and rows of each."""
TENTH = 0.1


def find_answer_bins(case: Case) -> tuple[AnswerBin, ...]:
    """Of answers that are one number each, by their size in groups of about as many rows; none for another task, or for
    fewer than ten rows."""
    answer_T, target_T = case.task.answers(case.output_TW)["value"], case.test_targets
    if case.task.error_is_share or answer_T.ndim > 1:
        return ()
    finite_T = np.isfinite(answer_T) & np.isfinite(target_T)
    answer_T, target_T = answer_T[finite_T].astype(np.float64), target_T[finite_T].astype(np.float64)
    count = min(MOST, len(answer_T) // LEAST_ROWS)
    groups = np.array_split(np.argsort(answer_T, kind="stable"), count) if count else []
    return tuple(_bin(answer_T[rows], target_T[rows]) for rows in groups)


def _bin(answer_R: np.ndarray, target_R: np.ndarray) -> AnswerBin:
    low, median, high = np.quantile(target_R, [TENTH, 0.5, 1 - TENTH]).tolist()
    return AnswerBin(answer=float(answer_R.mean()), low=low, median=median, high=high, rows=len(answer_R))
