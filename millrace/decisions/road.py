"""The way of a row to its decision: it is admitted by the contract, answered, acted on, and recorded.

    rows of a request -> check_rows -> Admitted -> an answerer -> Answers -> decide -> Decision
                                    -> Rejected

`decide` is the only function that makes a decision of an answer. A handler reads, decides and replies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from millrace.contract.row import as_declared, check_row_with_past, derived, repeated, unlisted
from millrace.decisions.policy import Acting, act
from millrace.decisions.record import Answered, AnsweredBy, Decision, Source, Withheld, canonical
from millrace.timestamps import parse_utc

if TYPE_CHECKING:
    from millrace.contract.schema import Table
    from millrace.decisions.chain import Instead
    from millrace.features.history import History
    from millrace.workload.declaration import Prediction
    from millrace.workload.rollout import Phase


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """One row that keeps the contract."""

    number: int
    """Its place in the request, counted from 0."""
    cells: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """One row without an answer, and why: the first rule that it breaks, or what the model did not take."""

    row: int
    """Its place in the request, counted from 0."""
    reason: str
    column: str
    expected: str
    came: str


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The answer to a call that is refused as a whole: no row of it is answered."""

    error: str
    expected: str
    came: str
    where: str
    status: int = 400
    retry_after_s: int | None = None
    """After how many seconds the same request may be answered; None if it never will, or nobody knows."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The answers to the rows of a call, in the order of the rows that the model did not reject."""

    model_version: str | None
    """None if no model answered."""
    outputs: tuple[Mapping[str, Answered], ...]
    """The fields of the task's answer to each row."""
    rejected: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    """Why the model did not take a row (`column`, `expected`, `came`), by the row's place. Such a row has no output."""
    watched: tuple[Mapping[str, float], ...] = ()
    """What the model measured of each row with an output; empty if it measures nothing."""
    explanations: tuple[Mapping[str, Any] | None, ...] = ()
    """The explanation of each output; None if the model has none. Empty if no output has one."""
    instead: tuple[Instead | None, ...] = ()
    """What answers each row in place of the model, None if the model does; empty if it answers all. Without a model it
    is the outputs too."""
    answered_by: AnsweredBy | None = None
    """`previous` if the version before answers in place of the live one."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """What the decisions of one call have in common."""

    ids: Sequence[str]
    """The id of the decision on each row, by the row's number. Whoever repeats a call repeats them."""
    workload: str
    phase: Phase
    latency_ms: float
    at: datetime
    """When the prediction was made (UTC)."""
    source: Source = "api"
    caller: str | None = None
    """The ARN of the identity that asked, where it is known."""


def check_rows(
    rows: Sequence[Mapping[str, Any]], table: Table, histories: Sequence[History] = ()
) -> tuple[list[Admitted], list[Rejected]]:
    """The rows that keep the contract, and those that do not, each with the reason.

    A row has the past of each of `histories` under its name: a list of rows that keep the contract too."""
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


def warnings(rows: Sequence[Admitted], table: Table, histories: Sequence[History] = ()) -> list[dict[str, Any]]:
    """What is told of answered rows, in the form of `rejected`: values outside of the contract's lists, and entries of
    a past at the time of an earlier one."""
    if not (table.open_lists or histories):
        return []
    return [
        {"row": row.number, "reason": one.reason, "column": one.column, "expected": one.expected, "came": one.got}
        for row in rows
        for one in (*unlisted(row.cells, table), *repeated(row.cells, histories))
    ]


def complete(
    rows: Sequence[Mapping[str, Any]],
    table: Table,
    histories: Sequence[History] = (),
    *,
    at: datetime,
    ids: Sequence[str],
) -> tuple[Mapping[str, Any], ...]:
    """The rows as the contract has them, with generated columns filled where they hold nothing.

    A generated time becomes `at`, as a row of a drop gets the time of its object. A generated id becomes the id of the
    decision, which the caller reads in the answer."""
    found, generated = [], [column for column in table.columns if column.generated]
    for number, row in enumerate(rows):
        cells = as_declared(row, table, histories)
        for column in generated:
            # With a `time_step` the rows of a request keep their order in time.
            if cells.get(column.name) is None:
                time = column.first_time(at) + number * column.time_step
                cells[column.name] = ids[number] if column.generated == "row_id" else time.isoformat()
        found.append(derived(cells, table) if table.derived else cells)
    return tuple(found)


def decide(
    rows: Sequence[Admitted],
    answer: Answers,
    *,
    inputs: Sequence[Mapping[str, Any]],
    prediction_spec: Prediction,
    call: Call,
    acting: Acting | None = None,
) -> list[Decision]:
    """The decision on each answered row, in order.

    `inputs` are the cells of the rows, with references in place of long cells. `acting` is the policy as it stands now;
    None for a workload without one."""
    watched, instead = answer.watched or ({},) * len(rows), answer.instead or (None,) * len(rows)
    shared = answer, prediction_spec, call, acting
    return [_decision(each, *shared) for each in zip(rows, inputs, answer.outputs, watched, instead, strict=True)]


def _decision(
    about: tuple[Admitted, Mapping[str, Any], Mapping[str, Answered], Mapping[str, float], Instead | None],
    answer: Answers,
    spec: Prediction,
    call: Call,
    acting: Acting | None,
) -> Decision:
    (row, cells, said, watched, instead), version = about, answer.model_version
    event_time, key = parse_utc(str(row.cells[spec.event_time])), {column: row.cells[column] for column in spec.key}
    if acting and acting.below_floor and not instead:
        acting = replace(acting, below_floor=False)
    acted = act(
        acting,
        output=said,
        cells=row.cells,
        event_time=event_time,
        key=key,
        watched=watched,
        fallback=version is None,
    )
    withheld = Withheld(model_version=version, output=said) if instead and version is not None else None
    return Decision(
        id=call.ids[row.number],
        workload=call.workload,
        event_time=event_time,
        predicted_for=spec.predicted_for(event_time),
        key=key,
        input=canonical(cells),
        output=instead.output if instead else said,
        model_version=None if instead else version,
        phase=call.phase,
        fallback=version is None or instead is not None,
        latency_ms=call.latency_ms,
        inferred_at=call.at,
        watched=watched,
        action=acted.action,
        reason=acted.reason,
        source=call.source,
        answered_by=instead.answered_by if instead else answer.answered_by,
        withheld=withheld,
        caller=call.caller,
    )
