"""A person works on the decisions that wait: takes the next one, answers, skips, passes on, takes an answer back.

reviewer = Reviewer.of(environment, names, source="terminal")
held = reviewer.next()                       # a lease of fifteen minutes, on one item
reviewer.answer(held, value, seconds=4.2)    # or skip, release, escalate
reviewer.finish()                            # drops the labels of the last answers
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Lock, Timer

from botocore.exceptions import BotoCoreError, ClientError

from millrace.console.environment import Environment
from millrace.console.queries.reviews import Question, question_of, reviews_of
from millrace.contract.kinds import INTEGERS
from millrace.decisions.answered import UNDO, Reviews
from millrace.decisions.record import Scalar
from millrace.decisions.review import LabelValue, ReviewAnswer, ReviewItem, agree, label_body, label_rows, middle
from millrace.errors import ReviewError
from millrace.messages.audit import AuditEvent
from millrace.names import WorkloadNames
from millrace.state.reviews import Held

TRUTHS: Mapping[str, bool] = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
"""What people type for a boolean."""


@dataclass(frozen=True, kw_only=True)
class Reviewer:
    """One person at one workload's queue. Every method is a person's act; `Held` says which item it is about."""

    environment: Environment
    names: WorkloadNames
    reviews: Reviews
    question: Question
    by: str
    """Identity of the person: the ARN of the caller."""
    source: str
    """With what the person works: `terminal`, `web`."""

    @classmethod
    def of(cls, environment: Environment, names: WorkloadNames, *, source: str) -> Reviewer:
        """The caller as a reviewer. Raises WorkloadError if the workload has no policy."""
        question, by = question_of(names), environment.identity()
        reviews = reviews_of(environment, names)
        return cls(environment=environment, names=names, reviews=reviews, question=question, by=by, source=source)

    def next(self) -> Held | None:
        """The first item that nobody has and that this person has not skipped; None if there is none."""
        return self.reviews.queue.next(by=self.by, now=self.environment.now())

    def take(self, decision_id: str) -> Held:
        """The item of this decision. Raises ReviewError if it does not wait, or if somebody has it."""
        held = self.reviews.queue.take(decision_id, by=self.by, now=self.environment.now())
        if held is None:
            known = self.reviews.queue.find([decision_id]).get(decision_id)
            came = "no item" if known is None else f"one that is {known.status}" if known.status != "waiting" else ""
            if known and self.by in (known.before or ()):
                came = "one that is for another person, since you have answered it before"
            raise ReviewError(f"{decision_id}: expected an item that waits, got {came or 'one that somebody has'}")
        return held

    def answer(self, held: Held, value: LabelValue, *, seconds: float) -> ReviewItem:
        """The item with this answer. Its label is dropped by `drop_labels` or `finish`; a second opinion has none.

        Raises ReviewError for a value that the contract refuses, and if the item is no longer this person's."""
        now = self.environment.now()
        is_second, tolerance = held.item.reason == "second_opinion", self.question.tolerance
        before = self.reviews.said_before(held.item) if tolerance is not None else ()
        agrees = agree(before[0], value, tolerance or 0) if is_second and before else None
        label = middle([*before, value]) if len(before) == 2 and tolerance else value
        rows = label_rows(held.item, label, prediction_spec=self.question.prediction, labels=self.question.labels)
        given, guideline = round(seconds, 1), self.question.guideline.version
        answer = ReviewAnswer(
            value=value, by=self.by, at=now, seconds=given, source=self.source, agrees=agrees, guideline=guideline
        )
        if not self.reviews.queue.answer(held, answer, label="" if is_second else label_body(rows)):
            raise _lost(held)
        return replace(held.item, status="answered", answer=answer)

    def skip(self, held: Held) -> None:
        """Give the item back for others; this person is not asked about it again."""
        self.reviews.queue.skip(held)

    def release(self, held: Held) -> None:
        """Give the item back as it was."""
        self.reviews.queue.release(held)

    def escalate(self, held: Held, *, note: str = "") -> None:
        """Pass the item on to another person, before all others that wait.

        Raises ReviewError if it is no longer this person's."""
        now = self.environment.now()
        if not self.reviews.queue.escalate(held, note=note, now=now):
            raise _lost(held)
        self.reviews.record_escalation(held.item, by=self.by, note=note, at=now)

    def undo(self, decision_id: str) -> Held:
        """The item again, without the answer that this person has given.

        Raises ReviewError if the answer is another person's, or if its label has been dropped. Then only a corrected
        label helps, in a file of the feed `labels`."""
        now = self.environment.now()
        before = self.reviews.queue.find([decision_id]).get(decision_id)
        held = self.reviews.queue.undo(decision_id, by=self.by, now=now)
        if before is None or held is None:
            expected = "an answer of yours whose label was not dropped yet"
            raise ReviewError(f"{decision_id}: expected {expected}, got none: drop a corrected label")
        self.reviews.record_answer(before, AuditEvent.REVIEW_UNDONE, at=now)
        return held

    def drop_labels(self) -> int:
        """Drop the labels of this person's answers that can no longer be taken back. Returns how many."""
        return self.reviews.drop_labels(now=self.environment.now(), by=self.by)

    def finish(self) -> int:
        """Drop the labels of this person's answers, the last ones too. Returns how many."""
        return self.reviews.drop_labels(now=self.environment.now(), older_than=timedelta(0), by=self.by)


class LabelTimer:
    """Drops the labels of a person who goes on answering: each half a minute to a minute after its answer."""

    def __init__(self, reviewer: Reviewer, *, undo_s: float = UNDO.total_seconds()) -> None:
        self._reviewer, self._undo_s = reviewer, undo_s
        self._lock = Lock()
        self._timer: Timer | None = None
        self._last_answer_s = 0.0

    def add(self) -> None:
        """An answer was given."""
        with self._lock:
            self._last_answer_s = time.monotonic()
            if self._timer is None:
                self._start()

    def stop(self) -> None:
        """Whoever stops drops the rest: `Reviewer.finish`."""
        with self._lock:
            if self._timer:
                self._timer.cancel()
            self._timer = None

    def _start(self) -> None:
        self._timer = Timer(self._undo_s, self._drop)
        self._timer.daemon = True
        self._timer.start()

    def _drop(self) -> None:
        fired_s = time.monotonic()
        # What fails now is dropped by the next turn or when the person stops, at the latest by the hourly sweep.
        with suppress(BotoCoreError, ClientError):
            self._reviewer.drop_labels()
        with self._lock:
            # Later answers could still be taken back when this turn began.
            if self._timer and self._last_answer_s > fired_s - self._undo_s:
                self._start()
            else:
                self._timer = None


def _lost(held: Held) -> ReviewError:
    return ReviewError(f"{held.item.id}: expected an item that is still yours, got one that is not: take it again")


def value_of(text: str, question: Question) -> LabelValue:
    """The label that a person has typed.

    Of several values, `damp=yes, mould=no` by the labels' names, or `61, 64.5` by horizon. Raises ReviewError for a
    text that is none of the choices, or no number where the contract wants one."""
    names = question.prediction.labels
    if names:
        typed = dict(part.split("=", 1) for part in text.replace(" ", "").split(",") if "=" in part)
        if set(typed) != set(names):
            raise ReviewError(f"answer: expected {', '.join(f'{name}=yes' for name in names)}, got {text!r}")
        return {name: _cell(typed[name], question, name) for name in names}
    if question.prediction.horizons_hours:
        return tuple(_cell(part.strip(), question, question.prediction.label) for part in text.split(","))
    return _cell(text.strip(), question, question.prediction.label)


def _cell(text: str, question: Question, name: str) -> Scalar:
    column = question.labels.column(name)
    if column.kind == "boolean" and text.lower() in TRUTHS:
        return TRUTHS[text.lower()]
    allowed = {told: value for value in column.classes for told in (str(value), str(column.word(value)))}
    if text in allowed:
        return allowed[text]
    expected = f"one of {', '.join(allowed)}" if allowed else column.form
    if allowed or column.kind == "boolean":
        raise ReviewError(f"{name}: expected {expected}, got {text!r}")
    if column.kind == "string":
        return text
    try:
        return int(text) if column.kind in INTEGERS else float(text)
    except ValueError:
        raise ReviewError(f"{name}: expected {expected}, got {text!r}") from None
