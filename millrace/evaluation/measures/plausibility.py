"""Looks for constant answers, exchanged classes and a wrong unit.

Axes: T test rows, R the test rows with an answer other than 0, W numbers of an answer, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from millrace.evaluation.gates.plausibility import Plausibility, PlausibilityEvidence
from millrace.tasks.answer import has_parts

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.evaluation.measures.case import Case
    from millrace.tasks.task import Floats, Task

DIGITS = 6
"""Answers that agree to this many decimals count as the same answer."""


def measure(gate: Plausibility, case: Case) -> PlausibilityEvidence:  # noqa: ARG001 - one shape for all measures
    """The evidence from the answers to the test rows; NaN if an answer is no finite number."""
    if not np.isfinite(case.output_TW).all():
        return PlausibilityEvidence(constant_share=np.nan)
    _, count = np.unique(np.round(case.output_TW.astype(np.float64), DIGITS), axis=0, return_counts=True)
    share = float(count.max()) / len(case.output_TW)
    # Exchanged classes are looked for in answers that are one class, a wrong unit in answers that are one number.
    if has_parts(case.task):
        return PlausibilityEvidence(constant_share=share)
    if case.task.error_is_share:
        exchanged, gain = _exchanged(case.task, case.output_TW, case.test_targets)
        return PlausibilityEvidence(constant_share=share, exchanged=exchanged, exchange_gain=gain)
    if case.output_TW.shape[1] != 1:
        return PlausibilityEvidence(constant_share=share)
    scale = _scale(case.output_TW[:, 0].astype(np.float64), case.test_targets.astype(np.float64))
    return PlausibilityEvidence(constant_share=share, scale=scale)


def _exchanged(task: Task, output_TW: Floats, target_T: npt.NDArray[Any]) -> tuple[tuple[str, ...], float]:
    """The classes that look exchanged, "a answered as b", and the share of answers that other names would put right.

    The best names are found by the assignment of answers to classes with the most right answers (Kuhn 1955)."""
    from scipy.optimize import linear_sum_assignment

    answer_T = task.said(output_TW)  # type: ignore[attr-defined]
    names = [str(name) for name in getattr(task, "classes", ("other", "positive"))]
    # How often each class (second axis) was answered as each class (first axis). `add.at` counts repeated pairs, `+=`
    # would not.
    counts_KK = np.zeros((len(names), len(names)))
    np.add.at(counts_KK, (np.asarray(answer_T, np.int64), target_T.astype(np.int64)), 1)
    answers, labels = linear_sum_assignment(-counts_KK)
    gain = float(counts_KK[answers, labels].sum() - np.trace(counts_KK)) / len(target_T)
    if gain <= 0:
        return (), 0.0
    pairs = zip(answers, labels, strict=True)
    return tuple(f"{names[label]} answered as {names[answer]}" for answer, label in pairs if answer != label), gain


def _scale(answer_T: npt.NDArray[np.float64], target_T: npt.NDArray[np.float64]) -> float | None:
    """The factor on the answers that has the least absolute error; None if every answer is 0.

    |label - factor × answer| = |answer| × |label / answer - factor|: so it is the median of label / answer, weighted by
    |answer|."""
    there_T = np.isfinite(answer_T) & (answer_T != 0)
    if not there_T.any():
        return None
    ratio_R, weight_R = target_T[there_T] / answer_T[there_T], np.abs(answer_T[there_T])
    order = np.argsort(ratio_R)
    half = np.searchsorted(np.cumsum(weight_R[order]), weight_R.sum() / 2)
    return float(ratio_R[order][half])
