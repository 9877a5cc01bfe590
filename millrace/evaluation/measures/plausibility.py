"""Answers that are all the same, classes that are exchanged, a wrong unit. Axes: T test rows, W numbers, K classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from millrace.evaluation.evidence import PlausibilityEvidence
from millrace.tasks.answer import has_parts

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.evaluation.gates.plausibility import Plausibility
    from millrace.evaluation.measures.case import Case
    from millrace.tasks.task import Floats, Task

DIGITS = 6


def measure(gate: Plausibility, case: Case) -> PlausibilityEvidence:  # noqa: ARG001 - one shape for all measures
    """Of the test rows."""
    if not np.isfinite(case.output_TW).all():
        return PlausibilityEvidence(constant_share=np.nan)
    _, count = np.unique(np.round(case.output_TW.astype(np.float64), DIGITS), axis=0, return_counts=True)
    share = float(count.max()) / len(case.output_TW)
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
    """The names that would be right for the answers, by the best assignment (Kuhn 1955), and what it would gain."""
    from scipy.optimize import linear_sum_assignment

    answer_T = output_TW.argmax(axis=1) if output_TW.shape[1] > 1 else task.answers(output_TW)["value"]
    names = [str(name) for name in getattr(task, "classes", ("other", "positive"))]
    counts_KK = np.zeros((len(names), len(names)))
    np.add.at(counts_KK, (np.asarray(answer_T, np.int64), target_T.astype(np.int64)), 1)
    answers, labels = linear_sum_assignment(-counts_KK)
    gain = float(counts_KK[answers, labels].sum() - np.trace(counts_KK)) / len(target_T)
    if gain <= 0:
        return (), 0.0
    pairs = zip(answers, labels, strict=True)
    return tuple(f"{names[label]} answered as {names[answer]}" for answer, label in pairs if answer != label), gain


def _scale(answer_T: npt.NDArray[np.float64], target_T: npt.NDArray[np.float64]) -> float | None:
    """The factor that makes the absolute error least: the median of label / answer, weighted by the answer."""
    there_T = np.isfinite(answer_T) & (answer_T != 0)
    if not there_T.any():
        return None
    ratio_R, weight_R = target_T[there_T] / answer_T[there_T], np.abs(answer_T[there_T])
    order = np.argsort(ratio_R)
    half = np.searchsorted(np.cumsum(weight_R[order]), weight_R.sum() / 2)
    return float(ratio_R[order][half])
