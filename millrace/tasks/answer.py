"""Reads, checks and writes answers by the fields that their task declares.

An answer is checked where it comes in, for example from an endpoint. It gets its types where it is kept: in JSON, Arrow
and Athena."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millrace.errors import AnswerError, AnswerRangeError, WorkloadError
from millrace.tasks.figures import short

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.tasks.task import AnswerField, FieldKind, Task

_ATHENA: dict[FieldKind, str] = {"integer": "int", "number": "double", "share": "double", "text": "string"}
CONFIDENCE = "confidence"
"""The field with the probability that the model gives its own answer, in the tasks whose answers have one."""
PROBABILITY = "probability"
"""The field with the probability of the class 1, in the tasks whose answers have one."""
EXPECTED_COST = "expected_cost"
"""The field with what an answer costs on average by the model's own probabilities, in the tasks that know costs."""
MOMENT = "predicted_for"
"""The field beside an answer that lies ahead of its row: the moment that it is for, of several horizons a list."""
MOST_SAID = 3
"""An answer with up to this many parts is written out in words; of a longer one the first and the last part are."""
_JSON: dict[FieldKind, str] = {"integer": "%d", "number": "%r", "share": "%r", "text": "%s"}
"""The format of one cell in JSON, by kind.

`%r` writes all digits of a number, so the number in JSON is exactly the number in Arrow. A text is JSON already when it
is formatted."""


def has_parts(task: Task) -> bool:
    """Whether an answer has several parts: the horizons of a forecast, or several labels. Its fields are then lists."""
    return task.answer[0].length > 0


def has_confidence(task: Task) -> bool:
    """Whether an answer says how sure the model is."""
    return any(field.name == CONFIDENCE for field in task.answer)


def athena_type(field: AnswerField) -> str:
    """The Athena type of one field: `double`, or `array<double>` for a list."""
    return f"array<{_ATHENA[field.kind]}>" if field.length else _ATHENA[field.kind]


def arrow_type(field: AnswerField) -> pa.DataType:
    """The Arrow type of one field."""
    import pyarrow as pa

    # The types of _ATHENA in Arrow's words.
    kinds = {"integer": pa.int32(), "number": pa.float64(), "share": pa.float64(), "text": pa.string()}
    return pa.list_(kinds[field.kind]) if field.length else kinds[field.kind]


def arrow_column(field: AnswerField, values: npt.NDArray[Any]) -> pa.Array:
    """One field of `task.answers`, (N) or (N, length), as a column of the field's Arrow type."""
    import pyarrow as pa

    return pa.array(list(values) if field.length else values, arrow_type(field))


def template(fields: Sequence[AnswerField]) -> str:
    """A format string for one answer as a JSON object without its braces: `"value":%d,"probability":%r`.

    It formats the tuples of `cells`. Serving makes it once and fills it for each row."""
    # A cell that may be null, or is a list, comes as finished JSON text.
    return ",".join(
        f'"{field.name}":{"%s" if field.optional or field.length else _JSON[field.kind]}' for field in fields
    )


def cells(answers: Mapping[str, npt.NDArray[Any]], fields: Sequence[AnswerField]) -> list[tuple[Any, ...]]:
    """The answers of `task.answers` as one tuple per row, ready for `template`: `(1, 0.87, 0.87)`."""
    columns: list[list[Any]] = []
    for field in fields:
        column = answers[field.name].tolist()
        if field.length:
            form = "%s" if field.kind == "text" else _JSON[field.kind]
            plain = json.dumps if field.kind == "text" else None
            column = [f"[{','.join(form % (plain(one) if plain else one) for one in cell)}]" for cell in column]
        elif field.kind == "text":
            column = [json.dumps(cell) for cell in column]
        elif field.optional:
            column = ["null" if cell is None else _JSON[field.kind] % cell for cell in column]
        columns.append(column)
    return list(zip(*columns, strict=True))


def read_answer(document: object, fields: Sequence[AnswerField]) -> dict[str, Any]:
    """The answer of one row, checked against its fields; keys that are no fields are dropped.

    Raises AnswerRangeError for a number that is not finite or not in its range, and AnswerError for what is no answer
    of this task at all."""
    if not isinstance(document, dict):
        raise AnswerError(f"expected an object, got {document!r}")
    found: dict[str, Any] = {}
    for field in fields:
        value: Any = document.get(field.name)
        # Nearly all cells are shares and classes in their range, which need no closer look.
        is_usual = not field.length and (
            field.kind == "share" and type(value) is float and 0 <= value <= 1
            if field.maximum is None
            else type(value) is int and 0 <= value <= field.maximum
        )
        found[field.name] = value if is_usual else _checked(field, value)
    return found


def check_constant(declared: Any, expected: str, suits: Callable[[Any], bool]) -> None:
    """Raise WorkloadError if a workload declares a constant that does not suit its task."""
    if declared is not None and not suits(declared):
        where, field = "workload.yaml", "prediction.fallback.constant"
        raise WorkloadError(where=where, field=field, expected=expected, came=declared)


def check_probability(declared: Any) -> None:
    """Raise WorkloadError if a workload declares a constant that is no probability."""
    check_constant(declared, "a probability, 0 to 1", lambda value: not isinstance(value, str) and 0 <= value <= 1)


def empty_answer(fields: Sequence[AnswerField]) -> dict[str, Any]:
    """An answer with every field None."""
    return dict.fromkeys(field.name for field in fields)


def in_words(answer: Mapping[str, Any], words: Mapping[Any, str]) -> str:
    """An answer in words for a page: "late with confidence 0.87", "61.2 between 41 and 88.3". `words` are the task's.

    A forecast is "1 h: 61.2 between 41 and 88.3, …, 24 h: 70.1 between 20.4 and 152". Several labels are the names of
    the labels that are answered with yes: "damp, mould"."""
    value = answer["value"]
    if not isinstance(value, list | tuple):
        confidence, lower, upper = (answer.get(name) for name in ("confidence", "lower", "upper"))
        sure = "" if confidence is None else f" with confidence {confidence:.2f}"
        said = short(value) if isinstance(value, float) else words.get(value, value)
        return f"{said}{sure}" + (
            "" if lower is None or upper is None else f" between {short(lower)} and {short(upper)}"
        )
    if names := answer.get("label"):
        return ", ".join(name for name, said in zip(names, value, strict=True) if said) or "none of the labels"
    # Each horizon is an answer of its own: the cell of every list at its place.
    lists = {name: cells for name, cells in answer.items() if isinstance(cells, list | tuple)}
    parts = [
        f"{hours:g} h: {in_words({name: cells[at] for name, cells in lists.items()}, {})}"
        for at, hours in enumerate(answer.get("horizon_hours") or range(len(value)))
    ]
    return ", ".join(parts if len(parts) <= MOST_SAID else [parts[0], "…", parts[-1]])


def is_finite(value: object) -> bool:
    """Whether the value is a finite number that a float can hold; whole numbers of JSON may be too large for one."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _checked(field: AnswerField, value: object) -> object:
    """The value of one field, of the type that its kind says. Raises AnswerError for another value."""
    if value is None and field.optional:
        return None
    if not field.length:
        return _checked_cell(field, value)
    if not isinstance(value, list) or len(value) != field.length:
        raise AnswerError(f"{field.name}: expected a list of {field.length}, got {value!r:.80}")
    return [_checked_cell(field, one) for one in value]


def _checked_cell(field: AnswerField, value: object) -> object:
    if field.kind == "text":
        if isinstance(value, str):
            return value
        raise AnswerError(f"{field.name}: expected text, got {value!r}")
    # In Python a bool is an int, but JSON's true is no number.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AnswerError(f"{field.name}: expected a finite number, got {value!r:.80}")
    if not is_finite(value):
        raise AnswerRangeError(field.name, expected="a finite number", came=value)
    if field.kind == "integer" and value != int(value):
        raise AnswerError(f"{field.name}: expected a whole number, got {value!r}")
    if (most := field.most) is not None and not 0 <= value <= most:
        raise AnswerRangeError(field.name, expected=f"a number from 0 to {most}", came=value)
    return int(value) if field.kind == "integer" else float(value)
