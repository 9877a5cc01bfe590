"""Ranks the labels of judged windows by how much they contradict the model, so that people look at the first ones.

A label is doubted if the model gives at least as much probability to another answer as it gives to labels on average
(confident learning, Northcutt et al. 2021, https://arxiv.org/abs/1911.00068, with one threshold for all classes; with
two classes the order is theirs by normalized margin). A number is doubted if its error, over the width of its interval
where the model gives one, is more than FAR times the median of these.

Only labels that came after the champion was registered are ranked: it has not learnt these.

Axes: N decisions of the champion, with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from millrace.decisions.columns import OUTPUT
from millrace.decisions.outcome_columns import Outcomes, merge
from millrace.jobs.monitoring.labels import Answered, labels_asked
from millrace.messages.asked_labels import LabelDoubted, LabelErrorReport
from millrace.tasks.answer import CONFIDENCE, PROBABILITY
from millrace.timestamps import micros

FAR = 5.0
"""A label is doubted if its error is more than FAR times the median error: of normal errors 1 in 1,300 is."""
SPARE = 2
"""So many times the quota are ranked: people have given some of the labels themselves, and are not asked again."""


def label_errors(
    windows: Sequence[Answered], a_day: int | None, *, registered_at: datetime | None
) -> LabelErrorReport | None:
    """The labels that contradict the champion most: SPARE times as many as people are asked about, which is `a_day`
    for each day of the windows. None without windows, or if a number or a time is not given."""
    if a_day is None or registered_at is None or not windows:
        return None
    since = micros(registered_at)
    outcomes = merge([one.outcomes.take(one.known & (one.outcomes.labelled_at > since)) for one in windows])
    doubt_N = _of_answers(outcomes) if windows[0].is_share else _of_numbers(outcomes)
    quota = a_day * sum((window.window.end - window.window.start).days for window in windows)
    first = [place for place in np.argsort(-doubt_N, kind="stable")[: SPARE * quota] if doubt_N[place] > 0]
    chosen = outcomes.take(np.array(first, np.int64))
    told = zip(labels_asked(chosen), chosen.labels.tolist(), doubt_N[first].tolist(), strict=True)
    found = tuple(LabelDoubted(**dict(asked), label=label, doubt=doubt) for asked, label, doubt in told)
    return LabelErrorReport(quota=quota, doubted=found)


def _of_answers(outcomes: Outcomes) -> NDArray[np.float64]:
    """The probability that the model gives to an answer that the label contradicts (N); 0 if it is not doubted."""
    contradicted_N, sure_N = outcomes.errors > 0, _sure(outcomes)
    # What is left to a label that the answer contradicts: with more than two classes, the most that it can be.
    label_N = np.where(contradicted_N, 1 - sure_N, sure_N)
    return np.where(contradicted_N & (sure_N >= label_N.sum() / max(len(outcomes), 1)), sure_N, 0.0)


def _sure(outcomes: Outcomes) -> NDArray[np.float64]:
    """How sure the model is of each answer (N); 0 if it does not say.

    Of several labels: of the wrong answer of which it is surest; of the least sure one if all are right."""
    schema = outcomes.decisions.schema
    if OUTPUT + PROBABILITY not in schema.names or not pa.types.is_list(schema.field(OUTPUT + "value").type):
        return np.nan_to_num(outcomes.answers(CONFIDENCE), nan=0.0)
    columns = (outcomes.column(OUTPUT + name).to_pylist() for name in ("value", PROBABILITY))
    return np.array([_surest(*row) for row in zip(*columns, outcomes.labels.tolist(), strict=True)], np.float64)


def _surest(value: list[Any], probability: list[float], label: list[Any] | None) -> float:
    parts = zip(value, probability, label or (), strict=True)
    sure = [(p if said else 1 - p, true is not None and int(true) != said) for said, p, true in parts]
    return max((p for p, is_wrong in sure if is_wrong), default=min(p for p, _ in sure))


def _of_numbers(outcomes: Outcomes) -> NDArray[np.float64]:
    """The error over the median error (N), each over the width of its interval if there is one; 0 up to FAR."""
    width_N = _widths(outcomes)
    if (positive_N := width_N > 0).any():
        width_N[~positive_N] = np.median(width_N[positive_N])
    error_N = outcomes.errors / width_N
    if not len(outcomes) or not (median := float(np.median(error_N))):
        return np.zeros(len(outcomes))
    return np.where(error_N > FAR * median, error_N / median, 0.0)


def _widths(outcomes: Outcomes) -> NDArray[np.float64]:
    """The width of the interval that the model gives (N), the mean one of several horizons; 1 if it gives none."""
    if OUTPUT + "upper" not in outcomes.decisions.column_names:
        return np.ones(len(outcomes))
    lower, upper = (outcomes.column(OUTPUT + name).to_pylist() for name in ("lower", "upper"))
    pairs = zip(lower, upper, strict=True)
    return np.array([1.0 if high is None else np.mean(np.subtract(high, low)) for low, high in pairs], np.float64)
