"""The contract's names of the two classes, for the 0 and 1 that a model of two classes answers with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from millrace.tasks.binary import Binary

if TYPE_CHECKING:
    from millrace.contract.schema import Column
    from millrace.tasks.task import Task


def class_names(task: Task, label: Column) -> Mapping[int, str]:
    """The name of each class by its answer, for example `{1: "Yes", 0: "No"}`.

    Empty if the task has other answers than two classes, and if the label's own values are 0 and 1 already."""
    if not isinstance(task, Binary):
        return {}
    classes = (False, True) if label.kind == "boolean" else label.allowed
    [other] = [value for value in classes if value != task.positive]
    names = {1: str(task.positive), 0: str(other)}
    return {} if names == {1: "1", 0: "0"} else names


def with_class(row: Mapping[str, Any], names: Mapping[int, str]) -> dict[str, Any]:
    """A copy of the row with a column `class` right after `value`. Without `names` the row stays as it is."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        found[name] = value
        if name == "value" and names:
            found["class"] = None if value is None else names[value]
    return found
