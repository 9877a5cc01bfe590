"""Answers by the fields that their task declares: checked where they come in, typed where they are kept."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millrace.errors import AnswerError, WorkloadError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.tasks.task import AnswerField, FieldKind
    from millrace.workload.declaration import Fallback

ATHENA: dict[FieldKind, str] = {"integer": "int", "number": "double", "share": "double", "text": "string"}
"""The Athena type of each kind of field."""
_JSON: dict[FieldKind, str] = {"integer": "%d", "number": "%r", "share": "%r", "text": "%s"}
"""All digits of a number: an answer in JSON is the very number of the same answer in Arrow. A text is JSON already."""


def arrow_type(kind: FieldKind) -> pa.DataType:
    """The Arrow type of one kind of field."""
    import pyarrow as pa

    return {"integer": pa.int32(), "number": pa.float64(), "share": pa.float64(), "text": pa.string()}[kind]


def template(fields: Sequence[AnswerField]) -> str:
    """A format string for one answer as a JSON object without its braces: `"value":%d,"probability":%r`.

    It takes the tuples of `cells`."""
    return ",".join(f'"{field.name}":{"%s" if field.optional else _JSON[field.kind]}' for field in fields)


def cells(answers: Mapping[str, npt.NDArray[Any]], fields: Sequence[AnswerField]) -> list[tuple[Any, ...]]:
    """The answers of `task.answers` row by row, for `template`."""
    columns: list[list[Any]] = []
    for field in fields:
        column = answers[field.name].tolist()
        if field.kind == "text":
            column = [json.dumps(cell) for cell in column]
        elif field.optional:
            column = ["null" if cell is None else _JSON[field.kind] % cell for cell in column]
        columns.append(column)
    return list(zip(*columns, strict=True))


def read_answer(document: object, fields: Sequence[AnswerField]) -> dict[str, Any]:
    """The answer of one row as a model gave it; raises AnswerError that names field, expected and came."""
    if not isinstance(document, Mapping):
        raise AnswerError(f"expected an object, got {document!r}")
    return {field.name: _checked(field, document.get(field.name)) for field in fields}


def check_fallback(fallback: Fallback, holds: str, *, among: Collection[object] | None = None) -> None:
    """Raise WorkloadError where the workload's fallback holds another field than `holds`, or a value not in `among`."""
    field = "prediction.fallback"
    for name in type(fallback).model_fields:
        if name != holds and getattr(fallback, name) is not None:
            raise WorkloadError(where="workload.yaml", field=field, expected=holds, came=name)
    value = getattr(fallback, holds)
    if value is not None and among is not None and value not in among:
        expected = f"one of {list(among)}"
        raise WorkloadError(where="workload.yaml", field=f"{field}.{holds}", expected=expected, came=value)


def empty_answer(fields: Sequence[AnswerField]) -> dict[str, Any]:
    """An empty answer: every field None."""
    return dict.fromkeys(field.name for field in fields)


def is_finite(value: object) -> bool:
    """Whether the value is a number, and one that a float can hold: JSON's whole numbers have no limit."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _checked(field: AnswerField, value: object) -> object:
    if value is None and field.optional:
        return None
    if field.kind == "text":
        if isinstance(value, str):
            return value
        raise AnswerError(f"{field.name}: expected text, got {value!r}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not is_finite(value):
        raise AnswerError(f"{field.name}: expected a finite number, got {value!r:.80}")
    if field.kind == "integer":
        if value != int(value):
            raise AnswerError(f"{field.name}: expected a whole number, got {value!r}")
        if field.maximum is not None and not 0 <= value <= field.maximum:
            raise AnswerError(f"{field.name}: expected 0 to {field.maximum}, got {value!r}")
        return int(value)
    if field.kind == "share" and not 0 <= value <= 1:
        raise AnswerError(f"{field.name}: expected a number from 0 to 1, got {value!r}")
    return float(value)
