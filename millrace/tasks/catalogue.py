"""The tasks by name. Add a task: one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from millrace.errors import ArtefactError, WorkloadError
from millrace.tasks.binary import Binary
from millrace.tasks.forecast import Forecast
from millrace.tasks.interval import Interval
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.multilabel import Multilabel
from millrace.tasks.regression import Regression
from millrace.tasks.task import Task

if TYPE_CHECKING:
    from millrace.contract.schema import Column
    from millrace.workload.declaration import Prediction

TASKS: dict[str, type[Task]] = {
    "binary": Binary,
    "multiclass": Multiclass,
    "regression": Regression,
    "interval": Interval,
    "forecast": Forecast,
    "multilabel": Multilabel,
}
KEYS = {
    "positive": "positive",
    "quantiles": "quantiles",
    "huber": "huber",
    "horizons_hours": "label.horizon_hours",
    "labels": "label",
    "thresholds": "thresholds",
}
"""Fields of a prediction that are for those tasks only that have a field of the same name, by their key in
workload.yaml."""


def declare(prediction: Prediction, label: Column) -> Task:
    """The workload's task; raises WorkloadError when the label does not suit it, or a key that it has no use for."""
    task = TASKS[prediction.task].declare(prediction, label)
    for key, word in KEYS.items():
        came = getattr(prediction, key)
        if came != type(prediction).model_fields[key].default and not hasattr(task, key):
            expected = f"no such key for the task {task.kind}" if key == word else f"one for the task {task.kind}"
            raise WorkloadError(where="workload.yaml", field=f"prediction.{word}", expected=expected, came=came)
    return task


def to_document(task: Task) -> dict[str, Any]:
    """The task as JSON, for model.json."""
    return {"kind": task.kind, **asdict(task)}  # type: ignore[call-overload]


def from_document(document: Mapping[str, Any]) -> Task:
    """The task of model.json; raises ArtefactError for an unknown one or a wrong field."""
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in document.items()}
    kind = fields.pop("kind", None)
    if kind not in TASKS:
        raise ArtefactError(f"model.json: task: expected one of {', '.join(TASKS)}, got {kind!r}")
    try:
        return TASKS[kind](**fields)
    except TypeError as error:
        raise ArtefactError(f"model.json: task: expected the fields of {kind}, got {error}") from None
