"""The decisions on the rows of a call, and their way to the queue, within SQS's limits.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html: 1 MiB a message and
a batch, ten messages a batch. Messages stay below 256 KiB, the limit of queues made before 2025-08.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from functions.prediction.endpoint import EndpointAnswer
from functions.prediction.request import Admitted, Rejected
from millrace.contract.reasons import Reason
from millrace.decisions.record import Decision, canonical, to_line
from millrace.errors import QueueError
from millrace.names import row_id_of
from millrace.timestamps import parse_utc
from millrace.workload.declaration import Prediction
from millrace.workload.rollout import Phase

MESSAGE_BYTES = 240 * 1024
BATCH_BYTES = 1000 * 1024
BATCH_MESSAGES = 10
ATTEMPTS = 3


@dataclass(frozen=True, kw_only=True)
class Call:
    """What the decisions of one call have in common."""

    id: str
    """The caller's id of the request, or that of the invocation. Lambda keeps the latter when it retries, which it does
    of asynchronous invocations only; a caller who repeats a request keeps its decisions' ids by an id of his own."""
    workload: str
    phase: Phase
    latency_ms: float
    fallback: bool
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Written:
    """The decision on a row and its line."""

    row: Admitted
    decision: Decision
    line: str


def decide(
    rows: Sequence[Admitted],
    answer: EndpointAnswer,
    *,
    inputs: Sequence[Mapping[str, Any]],
    prediction_spec: Prediction,
    call: Call,
) -> list[Decision]:
    """The decision on each answered row, in order; its id is the call's, then "-" and the row's number.

    `inputs` are the rows' cells, with references in place of the long ones."""
    watched = answer.watched or ({},) * len(rows)
    return [
        Decision(
            id=row_id_of(call.id, row.number),
            workload=call.workload,
            event_time=parse_utc(str(row.cells[prediction_spec.event_time])),
            key={column: row.cells[column] for column in prediction_spec.key},
            input=canonical(cells),
            output=output,
            model_version=answer.model_version,
            phase=call.phase,
            fallback=call.fallback,
            latency_ms=call.latency_ms,
            inferred_at=call.at,
            watched=measured,
        )
        for row, cells, output, measured in zip(rows, inputs, answer.outputs, watched, strict=True)
    ]


def write(
    rows: Sequence[Admitted], decided: Sequence[Decision], *, limit: int = MESSAGE_BYTES
) -> tuple[list[Written], list[Rejected]]:
    """The decisions with their lines, and the rows whose line is too long for a message.

    Such a row is not answered, since its decision cannot be kept; the others are."""
    written = [
        Written(row=row, decision=decision, line=to_line(decision)) for row, decision in zip(rows, decided, strict=True)
    ]
    # A line is ASCII, so its length is in bytes: a letter beyond takes seven, as text in JSON in JSON.
    fitting = [one for one in written if len(one.line) <= limit]
    if len(fitting) == len(written):
        return written, []
    return fitting, [_too_long(one, limit) for one in written if len(one.line) > limit]


def _too_long(one: Written, limit: int) -> Rejected:
    cells = json.loads(one.decision.input)
    return Rejected(
        row=one.row.number,
        reason=Reason.TOO_LARGE,
        column=max(cells, key=lambda name: len(canonical({name: cells[name]}))),
        expected=f"a row whose decision takes {limit} bytes at most",
        came=f"{len(one.line)} bytes, most of them in this column",
    )


def messages(lines: Iterable[str], *, limit: int = MESSAGE_BYTES) -> Iterator[str]:
    """The lines packed in order into as few messages of at most `limit` bytes as a single pass gives."""
    message: list[str] = []
    size = 0
    for line in lines:
        if message and size + len(line) + 1 > limit:
            yield "\n".join(message)
            message, size = [], 0
        message.append(line)
        size += len(line) + 1
    if message:
        yield "\n".join(message)


def batches(bodies: Iterable[str]) -> Iterator[list[str]]:
    """The messages in order, in batches that one call takes."""
    batch: list[str] = []
    for body in bodies:
        if batch and (len(batch) == BATCH_MESSAGES or sum(map(len, batch)) + len(body) > BATCH_BYTES):
            yield batch
            batch = []
        batch.append(body)
    if batch:
        yield batch


def send(client: Any, queue_url: str, lines: Sequence[str]) -> None:
    """Sends every line, or raises QueueError: a prediction whose decision is not kept is not answered.

    Batches that were taken before the refused one stay on the queue: their decisions are kept though the caller has an
    error. Readers count one decision for each id, so they are counted once where he repeats the request with its id."""
    for batch in batches(messages(lines)):
        left = {str(number): body for number, body in enumerate(batch)}
        failed: list[str] = []
        for _ in range(ATTEMPTS):
            answer = client.send_message_batch(
                QueueUrl=queue_url, Entries=[{"Id": name, "MessageBody": body} for name, body in left.items()]
            )
            failed = [f"{entry['Code']}: {entry.get('Message', '')}" for entry in answer.get("Failed", [])]
            left = {entry["Id"]: left[entry["Id"]] for entry in answer.get("Failed", [])}
            if not left:
                break
        else:
            raise QueueError(f"{len(left)} of {len(batch)} messages refused {ATTEMPTS} times: {failed[0]}")
