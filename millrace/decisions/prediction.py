"""What a prediction request may hold, how the model's answer is read, and what is answered without a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from millrace.contract.row import check_row_with_past
from millrace.contract.schema import Table
from millrace.decisions.record import Decision, Scalar, canonical
from millrace.errors import AnswerError
from millrace.features.history import History
from millrace.tasks.answer import read_answer
from millrace.tasks.task import Task
from millrace.timestamps import moment
from millrace.workload.declaration import Fallback, Prediction
from millrace.workload.rollout import Phase

ROWS_PER_CALL = 1000


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A request that holds no rows at all: nothing in it was looked at."""

    error: str
    expected: str
    came: str
    where: str
    status: int = 400


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """One row that keeps the contract."""

    number: int
    """Its place in the request, counted from 0."""
    cells: Mapping[str, Scalar]


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """One row that breaks it, with the first rule that it breaks."""

    row: int
    """Its place in the request, counted from 0."""
    reason: str
    column: str
    expected: str
    came: str


@dataclass(frozen=True, kw_only=True)
class Call:
    """What the decisions of one call have in common."""

    id: str
    """The function's request id: asked again by itself, Lambda keeps it, so a decision keeps its id."""
    workload: str
    phase: Phase
    latency_ms: float
    fallback: bool
    at: datetime


@dataclass(frozen=True, kw_only=True)
class EndpointAnswer:
    """What a model answered, one output per row, in the order of the rows."""

    model_version: str | None
    """None when no model answered."""
    outputs: tuple[Mapping[str, Scalar], ...]
    """The fields of the task's answer."""


def read_rows(document: object) -> tuple[Mapping[str, Any], ...] | Refusal:
    """The rows of `{"rows": [{column: value, …}, …]}`, or why there are none."""
    rows = document.get("rows") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        return _refusal("no rows", "an object with a list 'rows'", _kind(document), "body")
    if not 1 <= len(rows) <= ROWS_PER_CALL:
        status = 413 if rows else 400
        return _refusal("number of rows", f"1 to {ROWS_PER_CALL} rows", f"{len(rows)}", "rows", status)
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            return _refusal("a row is no object", "an object", _kind(row), f"rows[{number}]")
    return tuple(rows)


def check_rows(
    rows: Sequence[Mapping[str, Any]], table: Table, histories: Sequence[History] = ()
) -> tuple[list[Admitted], list[Rejected]]:
    """Every row on one of two lists: those that keep the contract, and those that do not with the reason.

    A row carries the past of each of `histories` under its name, a list of rows that keep the contract too."""
    admitted: list[Admitted] = []
    rejected: list[Rejected] = []
    for number, row in enumerate(rows):
        if problems := check_row_with_past(row, table, histories):
            first = problems[0]
            rejected.append(
                Rejected(
                    row=number, reason=first.reason, column=first.column or "", expected=first.expected, came=first.got
                )
            )
        else:
            admitted.append(Admitted(number=number, cells=row))
    return admitted, rejected


def request_body(rows: Sequence[Admitted], features: Sequence[str]) -> bytes:
    """What the endpoint is sent: `{"rows": [{feature: value, …}, …]}`."""
    wanted = [{feature: row.cells.get(feature) for feature in features} for row in rows]
    return json.dumps({"rows": wanted}, separators=(",", ":"), allow_nan=False).encode()


def decide(rows: Sequence[Admitted], answer: EndpointAnswer, *, surface: Prediction, call: Call) -> list[Decision]:
    """The decision on each row, in order; its id is the call's, then "-" and the row's number."""
    return [
        Decision(
            id=f"{call.id}-{row.number}",
            workload=call.workload,
            event_time=moment(str(row.cells[surface.event_time])),
            key={column: row.cells[column] for column in surface.key},
            input=canonical(row.cells),
            output=output,
            model_version=answer.model_version,
            phase=call.phase,
            fallback=call.fallback,
            latency_ms=call.latency_ms,
            inferred_at=call.at,
        )
        for row, output in zip(rows, answer.outputs, strict=True)
    ]


def read_response(body: bytes, *, rows: int, task: Task) -> EndpointAnswer:
    """The endpoint's answer to `rows` rows.

    Raises AnswerError where it is not one output per row, or an output lacks what the task's answers hold."""
    try:
        document = json.loads(body)
    except ValueError as error:
        raise AnswerError(f"expected JSON, got {body[:80]!r} ({error})") from None
    predictions = document.get("predictions") if isinstance(document, dict) else None
    version = document.get("model_version") if isinstance(document, dict) else None
    if not isinstance(version, str) or not isinstance(predictions, list):
        raise AnswerError(f"expected model_version and predictions, got {body[:80]!r}")
    if len(predictions) != rows:
        raise AnswerError(f"expected {rows} predictions, got {len(predictions)}")
    outputs = tuple(read_answer(prediction, task.answer) for prediction in predictions)
    return EndpointAnswer(model_version=version, outputs=outputs)


def fallback_answer(fallback: Fallback, *, rows: int, task: Task) -> EndpointAnswer:
    """The same declared answer for each row; its fields are None where the workload declares none."""
    return EndpointAnswer(model_version=None, outputs=(task.fallback(fallback),) * rows)


def _refusal(error: str, expected: str, came: str, where: str, status: int = 400) -> Refusal:
    return Refusal(error=error, expected=expected, came=came, where=where, status=status)


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__
