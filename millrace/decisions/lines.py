"""Sends the decisions of a call to the queue: as many lines in a message as it takes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from millrace.aws import queues
from millrace.aws.queues import MESSAGE_BYTES
from millrace.contract.reasons import Reason
from millrace.decisions.record import Decision, canonical, to_line
from millrace.decisions.road import Admitted, Rejected


@dataclass(frozen=True, kw_only=True)
class Written:
    """The decision on a row and its line."""

    row: Admitted
    decision: Decision
    line: str


def write(
    rows: Sequence[Admitted], decided: Sequence[Decision], *, limit: int = MESSAGE_BYTES
) -> tuple[list[Written], list[Rejected]]:
    """The decisions with their lines, and the rows with a line that is too long for a message.

    A row with too long a line is not answered, since its decision cannot be kept. The others are answered."""
    written = [
        Written(row=row, decision=decision, line=to_line(decision)) for row, decision in zip(rows, decided, strict=True)
    ]
    # A line is ASCII, so its length is its bytes. A letter beyond ASCII takes seven: `\\u00e9`, as JSON inside JSON.
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
    """The lines in order, packed into messages of at most `limit` bytes. Each message takes as many as it can."""
    # A line takes one byte more than its length, for the line feed.
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


def send(client: Any, queue_url: str, lines: Sequence[str]) -> None:
    """Send every line. Raises QueueError if a line is refused: no prediction is answered without its decision.

    Batches that were taken before a refused one stay on the queue. So their decisions are kept though the caller gets
    an error. Readers count one decision for each id: if he repeats the request with its id, they are counted once."""
    queues.send(client, queue_url, messages(lines))
