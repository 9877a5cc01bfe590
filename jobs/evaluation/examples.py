"""Chooses three forecasts of test rows for the report page: a good, a middling and a bad one.

Each is shown beside the values that were known and those that came.

Axes: N all rows, T test rows, W numbers of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.evaluation.evidence import ForecastExample
from millrace.evaluation.measures.case import Case
from millrace.features.as_of import HOUR_US, times_us
from millrace.tasks.forecast import Forecast
from millrace.workload.declaration import Prediction

if TYPE_CHECKING:
    import numpy.typing as npt

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
    columns = [case.table[name].to_pylist() for name in prediction_spec.key if name != prediction_spec.event_time]
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
