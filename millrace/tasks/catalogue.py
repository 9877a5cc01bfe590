"""The tasks by name. Add a task: one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, cast

from millrace.errors import ArtefactError, WorkloadError
from millrace.tasks.binary import Binary
from millrace.tasks.forecast import Forecast
from millrace.tasks.interval import Interval
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.multilabel import Multilabel
from millrace.tasks.regression import Regression
from millrace.tasks.task import Task

if TYPE_CHECKING:
    from pydantic import BaseModel

    from millrace.contract.schema import Column
    from millrace.workload.predicted_label import PredictedLabel

TASKS: dict[str, type[Task]] = {
    "binary": Binary,
    "multiclass": Multiclass,
    "regression": Regression,
    "interval": Interval,
    "forecast": Forecast,
    "multilabel": Multilabel,
}
WRITTEN = {"horizons_hours": "label.horizon_hours", "labels": "label"}
"""The key in workload.yaml for each field of a task that has another name there."""


def declare(prediction: PredictedLabel, label: Column) -> Task:
    """The task that a workload declares for its label.

    Raises WorkloadError if the label does not suit the task, and for a key that this task does not use."""
    task = TASKS[prediction.task].declare(prediction, label)
    # A key such as `huber` belongs to some tasks only: set to anything but its default beside another task, it would do
    # nothing, so it is refused.
    known = type(cast("BaseModel", prediction)).model_fields
    for key in sorted({one.name for task in TASKS.values() for one in fields(task)} & known.keys()):  # type: ignore[arg-type]
        came, word = getattr(prediction, key), WRITTEN.get(key, key)
        if came != known[key].get_default(call_default_factory=True) and not hasattr(task, key):
            expected = f"no such key for the task {task.kind}" if key == word else f"one for the task {task.kind}"
            raise WorkloadError(where="workload.yaml", field=f"prediction.{word}", expected=expected, came=came)
    return task


def to_document(task: Task) -> dict[str, Any]:
    """The task as JSON for model.json: `{"kind": "binary", "positive": 1, "threshold": 0.5}`."""
    return {"kind": task.kind, **asdict(task)}  # type: ignore[call-overload]


def from_document(document: Mapping[str, Any]) -> Task:
    """The task of model.json. Raises ArtefactError for an unknown kind or a wrong field."""
    fields = {name: _hashable(value) for name, value in document.items()}
    kind = fields.pop("kind", None)
    if kind not in TASKS:
        raise ArtefactError(f"model.json: task: expected one of {', '.join(TASKS)}, got {kind!r}")
    try:
        return TASKS[kind](**fields)
    except TypeError as error:
        raise ArtefactError(f"model.json: task: expected the fields of {kind}, got {error}") from None


def _hashable(value: Any) -> Any:
    """JSON's lists as tuples, those within them too."""
    return tuple(map(_hashable, value)) if isinstance(value, list) else value
