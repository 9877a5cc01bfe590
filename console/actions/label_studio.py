"""Exchanges what waits with Label Studio: its tasks with predictions, and its export with annotations.

https://labelstud.io/guide/task_format and https://labelstud.io/guide/predictions say both formats. A task keeps the
decision's id in its data, which Label Studio gives back as it came:

    {"data": {"decision": "r-0-17", "reason": "unsure", "row": {…}},
     "predictions": [{"model_version": "2", "score": 0.62, "result": [{"from_name": "label", "to_name": "row", …}]}]}
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from millrace.console.actions.reviews import Reviewer, value_of
from millrace.console.environment import Environment
from millrace.console.image_folder import data_uri
from millrace.console.queries.reviews import Question, ShownItem, list_waiting, question_of, show_item
from millrace.contract.kinds import FLOATS, INTEGERS
from millrace.decisions.review import LabelValue
from millrace.errors import ReviewError
from millrace.messages.envelope import Message
from millrace.names import WorkloadNames

FROM, TO = "label", "row"
"""The names of the control and of the object in the labelling interface."""


class Value(Message):
    """One value of a result: by the kind of the control that gave it."""

    choices: tuple[str, ...] = ()
    number: int | float | None = None
    """An integer as it came, since a float has sixteen digits."""
    text: tuple[str, ...] | str = ()


class Result(Message):
    """What one control says."""

    from_name: str
    value: Value


class Annotation(Message):
    """What one person says of a task."""

    result: tuple[Result, ...] = ()
    was_cancelled: bool = False
    lead_time: float | None = None
    """Seconds."""
    completed_by: Any = None


class Data(Message):
    """The data of a task that came from `export`."""

    model_config = ConfigDict(extra="allow")
    decision: str


class Task(Message):
    """One task with its annotations."""

    data: Data
    annotations: tuple[Annotation, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written."""

    tasks: int
    interface: str
    """The labelling interface of a project for these tasks, as XML."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of the tasks of a file."""

    answered: int
    left: Mapping[str, str]
    """Why, by the decision's id. A second import leaves what the first has answered."""


def export(environment: Environment, names: WorkloadNames, path: Path, *, limit: int) -> Exported:
    """Write the first `limit` waiting items as tasks. They wait on: whoever answers first is heard.

    Raises ReviewError for a workload with several horizons: Label Studio has no such control."""
    question = question_of(names)
    if question.prediction.horizons_hours:
        raise ReviewError("expected a label of one value, got several horizons: answer these with millrace review")
    items = list_waiting(environment, names, limit=limit)
    tasks = [_task(show_item(environment, names, item)) for item in items]
    path.write_text(json.dumps(tasks, indent=1, default=str))
    images = [name for name in (tasks[0]["data"] if tasks else {}) if name not in ("decision", "reason", "row")]
    return Exported(tasks=len(tasks), interface=_interface(question, images))


def take_answers(environment: Environment, names: WorkloadNames, path: Path) -> Taken:
    """Answer what the file's tasks have one answer to. Raises ReviewError if it is no export of tasks."""
    reviewer = Reviewer.of(environment, names, source="label-studio")
    left: dict[str, str] = {}
    answered = 0
    for task in _read(path):
        name = task.data.decision
        try:
            value, given = _one_answer(task, reviewer.question)
            source = f"label-studio user {_person(given.completed_by)}"
            reviewer.answer(reviewer.take(name), value, seconds=given.lead_time or 0, source=source)
            answered += 1
        except ReviewError as error:
            left[name] = str(error)
    reviewer.finish()
    return Taken(answered=answered, left=left)


def _read(path: Path) -> tuple[Task, ...]:
    try:
        return TypeAdapter(tuple[Task, ...]).validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ReviewError(
            f"{path}: {place}: expected tasks of Label Studio's JSON export, got {first['msg']}"
        ) from None


def _one_answer(task: Task, question: Question) -> tuple[LabelValue, Annotation]:
    """The value that all annotations agree on, and the first of them. Raises ReviewError if there is none."""
    given = [each for each in task.annotations if not each.was_cancelled and each.result]
    values = [given_value(each, question) for each in given]
    if not values or any(value != values[0] for value in values):
        came = "answers that differ" if values else "none"
        raise ReviewError(f"expected one answer, got {came}")
    return values[0], given[0]


def given_value(given: Annotation, question: Question) -> LabelValue:
    """The label that one person gives. Raises ReviewError unless it is one value that the contract's kind takes."""
    found = next((result.value for result in given.result if result.from_name == FROM), Value())
    if names := question.prediction.labels:
        return {name: name in found.choices for name in names}
    text = (found.text,) if isinstance(found.text, str) else found.text
    number = found.number
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    said = (*found.choices, *(() if number is None else (repr(number),)), *text)
    if len(said) != 1:
        raise ReviewError(f"expected one value of the control {FROM}, got {len(said)}")
    return value_of(said[0], question)


def _person(completed_by: Any) -> str:
    return str(completed_by.get("email", "unknown") if isinstance(completed_by, dict) else completed_by)


def _task(shown: ShownItem) -> dict[str, Any]:
    item = shown.item
    data = {"decision": item.id, "reason": item.reason, "row": shown.row, **dict(_images(shown))}
    value = _predicted(shown)
    if value is None:
        return {"data": data}
    result = {"from_name": FROM, "to_name": TO, "type": next(iter(value)), "value": value}
    known = {"model_version": item.model_version or "", "score": item.confidence, "result": [result]}
    return {"data": data, "predictions": [{name: one for name, one in known.items() if one is not None}]}


def _predicted(shown: ShownItem) -> dict[str, Any] | None:
    """The model's answer as the value of the control; None where the person must not know it."""
    if shown.answer is None or shown.answer["value"] is None:
        return None
    if shown.question.prediction.labels:
        said, names = shown.answer["value"], shown.answer.get("label")
        pairs = zip(names, said, strict=True) if isinstance(names, list) and isinstance(said, list) else ()
        return {"choices": [str(name) for name, is_said in pairs if is_said]}
    if shown.question.choices:
        return None if shown.suggestion is None else {"choices": [str(shown.suggestion)]}
    return {"number": shown.answer["value"]}


def _images(shown: ShownItem) -> Iterator[tuple[str, str]]:
    for name, content in shown.images.items():
        if source := data_uri(content):
            yield name, source


def _interface(question: Question, images: list[str]) -> str:
    column = question.labels.column(question.prediction.label_columns[0])
    values = question.prediction.labels or tuple(map(str, question.choices))
    shown = [
        f'<Table name="{TO}" value="$row"/>',
        *(f"<Image name={_attribute(n)} value={_attribute('$' + n)}/>" for n in images),
    ]
    if values:
        several = "multiple" if question.prediction.labels else "single"
        inside = "".join(f"<Choice value={_attribute(value)}/>" for value in values)
        control = f'<Choices name="{FROM}" toName="{TO}" choice="{several}">{inside}</Choices>'
    elif column.kind in (*INTEGERS, *FLOATS):
        control = f'<Number name="{FROM}" toName="{TO}"/>'
    else:
        control = f'<TextArea name="{FROM}" toName="{TO}"/>'
    return f"<View>{''.join(shown)}{control}</View>"


def _attribute(text: str) -> str:
    """The text as the value of an XML attribute, with its quotation marks."""
    return f'"{html.escape(text)}"'
