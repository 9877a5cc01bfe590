"""Compares the numbers that came with the numbers that were answered: are the answers too high or too low, and where?

Axes: T test rows, P parts of an answer, B test rows of one bin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.contract.rules.range import Range
from millrace.evaluation.evidence import AnswerBin, CutAnswers, TruthByAnswer
from millrace.tasks.forecast import Forecast
from millrace.tasks.interval import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import numpy.typing as npt

    from millrace.contract.schema import Column
    from millrace.evaluation.measures.case import Case

MOST_BINS = 12
FEWEST_ROWS = 20
"""The fewest rows of a bin. So nobody's label can be read off its figures."""
QUANTILES = (0.1, 0.9)
"""The quantiles of what came, if the answer has no interval of its own."""


def truth_by_answer(case: Case) -> tuple[TruthByAnswer, ...]:
    """The comparison for a number, or for the first, the middle and the last horizon of a forecast.

    Empty for another task or too few rows."""
    task = case.task
    if task.error_is_share:
        return ()
    # A number has one part without a name. Every column below is (T, P).
    names = task.part_names or ("",)
    answers = {
        name: values.reshape(len(values), -1)
        for name, values in task.answers(case.output_TW).items()
        if name in ("value", "lower", "upper")
    }
    truth_TP = case.test_targets.reshape(len(case.test_targets), -1).astype(np.float64)
    quantiles = task.quantiles if isinstance(task, Interval | Forecast) else QUANTILES
    found = [
        TruthByAnswer(
            name=names[part],
            quantiles=quantiles,
            bins=_bins({name: values_TP[:, part] for name, values_TP in answers.items()}, truth_TP[:, part], quantiles),
        )
        for part in dict.fromkeys((0, len(names) // 2, len(names) - 1))
    ]
    return tuple(one for one in found if one.bins)


def cut_answers(case: Case, label: Column) -> tuple[CutAnswers, ...]:
    """The contract's bounds of the label at which more answers stand than labels do, the lower one first."""
    if case.task.error_is_share or (declared := label.find(Range)) is None:
        return ()
    answers = case.task.answers(case.output_TW)["value"]
    found = []
    for is_lower, bound in zip((True, False), declared.limits, strict=True):
        # The network holds its bounds as float32.
        share, of_labels = (float((values == np.float32(bound)).mean()) for values in (answers, case.test_targets))
        if share > of_labels:
            found.append(CutAnswers(bound=bound, is_lower=is_lower, share=share, label_share=of_labels))
    return tuple(found)


def _bins(
    answers: Mapping[str, npt.NDArray[Any]], truth_T: npt.NDArray[np.float64], quantiles: tuple[float, float]
) -> tuple[AnswerBin, ...]:
    """The bins in the order of the answers. They have equally many rows, or one more or less.

    Rows without a finite answer or label are left out."""
    known_T = np.isfinite(np.column_stack([truth_T, *answers.values()])).all(axis=1)
    rows = np.flatnonzero(known_T)
    rows = rows[np.argsort(answers["value"][rows], kind="stable")]
    count = min(MOST_BINS, len(rows) // FEWEST_ROWS)
    return tuple(_bin(rows_B, answers, truth_T, quantiles) for rows_B in np.array_split(rows, count)) if count else ()


def _bin(
    rows_B: npt.NDArray[np.intp],
    answers: Mapping[str, npt.NDArray[Any]],
    truth_T: npt.NDArray[np.float64],
    quantiles: tuple[float, float],
) -> AnswerBin:
    low, middle, high = np.quantile(truth_T[rows_B], (quantiles[0], 0.5, quantiles[1])).tolist()
    said = {name: float(np.median(values_T[rows_B])) for name, values_T in answers.items()}
    return AnswerBin(rows=len(rows_B), truth_low=low, truth=middle, truth_high=high, **said)
