"""What a report shows of single answers: mistakes, what came by what was answered, and forecasts as examples.

Axes: N all rows, T test rows, K classes, P parts of an answer or different mistakes, B test rows of one bin, W numbers
of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from millrace.contract.rules.range import Range
from millrace.contract.schema import Column
from millrace.evaluation.evidence import AnswerBin, CutAnswers, ForecastExample, Mistake, TruthByAnswer
from millrace.evaluation.measures.case import Case
from millrace.features.as_of import HOUR_US, times_us
from millrace.jobs.evaluation.rows import as_sent
from millrace.tasks.forecast import Forecast
from millrace.tasks.interval import Interval
from millrace.workload.declaration import Prediction

MOST_MISTAKES = 10


def find_mistakes(case: Case) -> tuple[Mistake, ...]:
    """Up to MOST_MISTAKES kinds of mistakes, the most frequent first; empty for a task whose answers are no classes."""
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
    order = np.lexsort((of_K[pairs_P2[:, 0]], -count_P))[:MOST_MISTAKES]
    return tuple(
        Mistake(truth=words[true], answered=words[answered], rows=int(count), of=int(of_K[true]))
        for (true, answered), count in zip(pairs_P2[order].tolist(), count_P[order], strict=True)
    )


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
    bins = []
    for rows_B in np.array_split(rows, count) if count else ():
        low, middle, high = np.quantile(truth_T[rows_B], (quantiles[0], 0.5, quantiles[1])).tolist()
        said = {name: float(np.median(values_T[rows_B])) for name, values_T in answers.items()}
        bins.append(AnswerBin(rows=len(rows_B), truth_low=low, truth=middle, truth_high=high, **said))
    return tuple(bins)


RANKS = (0.1, 0.5, 0.9)
"""The ranks of the chosen rows by their error, from 0 for the smallest error to 1 for the largest."""


def forecast_examples(case: Case, prediction_spec: Prediction) -> tuple[ForecastExample, ...]:
    """The test rows with an error of these RANKS. Empty for another task, and if an error is no finite number."""
    if not isinstance(case.task, Forecast) or not np.isfinite(case.errors).all():
        return ()
    # A dictionary keeps the order of the ranks and has each row once, even if there are fewer than three.
    order = np.argsort(case.errors, kind="stable")
    chosen = dict.fromkeys(int(order[round(rank * (len(order) - 1))]) for rank in RANKS)
    entity = _entity(case, prediction_spec)
    return tuple(_example(case, prediction_spec, case.parts.test.start + row, entity) for row in chosen)


def _entity(case: Case, prediction_spec: Prediction) -> npt.NDArray[np.str_]:
    """The entity of each row (N), for people: the cells of its key without the event time, joined by commas."""
    columns = [case.table[name].to_pylist() for name in prediction_spec.entity]
    # A key of the event time alone has no entity: each row gets an empty text.
    return np.array([", ".join(map(str, cells)) for cells in zip(*columns, strict=True)] or [""] * len(case.table))


def _example(case: Case, prediction_spec: Prediction, row: int, entity: npt.NDArray[np.str_]) -> ForecastExample:
    task = case.task
    assert isinstance(task, Forecast)
    times = times_us(case.table[prediction_spec.event_time])
    # The past goes as far back as the forecast goes ahead, and is of the same entity.
    hours = (times - times[row]) / HOUR_US
    own = np.array(case.table[prediction_spec.label].to_pylist(), np.float64)
    past = np.flatnonzero((entity == entity[row]) & (hours <= 0) & (hours >= -task.horizons_hours[-1]) & ~np.isnan(own))
    at = row - case.parts.test.start
    answer = {name: tuple(cells[0].tolist()) for name, cells in task.answers(case.output_TW[at : at + 1]).items()}
    return ForecastExample(
        key=as_sent(case.table, prediction_spec.key, row),
        at=str(case.table[prediction_spec.event_time][row].as_py().isoformat()),
        entity=str(entity[row]),
        past_hours=tuple(hours[past].tolist()),
        past=tuple(own[past].tolist()),
        hours=task.horizons_hours,
        value=answer["value"],
        lower=answer["lower"],
        upper=answer["upper"],
        truth=tuple(case.test_targets[at].astype(float).tolist()),
    )
