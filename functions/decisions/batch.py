"""Which objects a batch of queue messages becomes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from millrace.decisions.record import lines_by_date, object_key
from millrace.errors import DecisionError


@dataclass(frozen=True, kw_only=True)
class QueueMessage:
    """One message: decisions, a line each."""

    id: str
    body: str


@dataclass(frozen=True, kw_only=True)
class Readable:
    """A message whose every line is a decision, its lines under their event dates."""

    id: str
    lines: dict[date, list[str]]


@dataclass(frozen=True, kw_only=True)
class UnreadableMessage:
    """A message with a line that is none."""

    id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Object:
    """One object to write."""

    key: str
    body: bytes


def readable(messages: Iterable[QueueMessage]) -> tuple[list[Readable], list[UnreadableMessage]]:
    """The messages that hold only decisions, and those that do not."""
    good: list[Readable] = []
    bad: list[UnreadableMessage] = []
    for message in messages:
        try:
            good.append(Readable(id=message.id, lines=lines_by_date(message.body.split("\n"))))
        except DecisionError as error:
            bad.append(UnreadableMessage(id=message.id, reason=str(error)))
    return good, bad


def objects(workload: str, messages: Sequence[Readable]) -> list[Object]:
    """One object per event date; its key is named by the messages in it, so a second delivery overwrites it."""
    by_date: dict[date, list[Readable]] = defaultdict(list)
    for message in messages:
        for day in message.lines:
            by_date[day].append(message)
    return [
        Object(
            key=object_key(workload, day, (message.id for message in found)),
            body="".join(f"{line}\n" for message in found for line in message.lines[day]).encode(),
        )
        for day, found in sorted(by_date.items())
    ]
