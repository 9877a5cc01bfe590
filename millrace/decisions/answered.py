"""What becomes of a person's answer: its label is dropped into the landing bucket, and the audit says who gave it.

12:00:00  answered        it can be taken back for UNDO
12:00:30  labels dropped  of all answers of the person that are as old, in one file; when the person stops, of all
12:00:32  ingested        like every file of the feed `labels`; what nobody had acted on goes to the consumers

Whoever answers has the labels dropped (console/actions/reviews.py); what a program that died has left, the hourly sweep
drops.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from millrace.decisions.review import (
    OPINIONS,
    LabelValue,
    ReviewItem,
    label_folder,
    label_key,
    opinion_item,
    value_to_json,
)
from millrace.messages.audit import AuditEvent, ReviewAnswered, ReviewEscalated, ReviewUnanswered
from millrace.names import WorkloadNames
from millrace.state.answers import AnswerNotes
from millrace.state.audit import Record, append
from millrace.state.reviews import ReviewQueue

UNDO = timedelta(seconds=30)
"""For so long an answer can be taken back while its person goes on."""
DROPPING = timedelta(minutes=1)
"""Whoever drops labels has done so by then; later others take over."""
MOST = 300
"""The most labels of a file: an item of DynamoDB, 400 KB at most, has the ids of their decisions."""
ACTOR = "review"
Labelled = list[tuple[ReviewItem, str]]
"""Answered items, each with the body of its label; empty for a second opinion."""


class Reviews:
    """The queue of a workload, for everything that happens to an item after it was opened."""

    def __init__(
        self, *, dynamodb: Any, s3: Any, names: WorkloadNames, tell: Callable[[ReviewItem], object] | None = None
    ) -> None:
        """`dynamodb` and `s3` are boto3's clients.

        `tell` is called for each item that nobody has answered in time. None: that is left to the sweep."""
        self._dynamodb, self._s3, self._names, self._tell = dynamodb, s3, names, tell
        self.queue = ReviewQueue(dynamodb, names, ended=self._record_end if tell else None)
        self.answers = AnswerNotes(dynamodb, names)

    def drop_labels(self, *, now: datetime, older_than: timedelta = UNDO, by: str = "") -> int:
        """Drop the label of each answer that was given before that, of one person or of all. Returns how many.

        A person's labels are one file, or some. A call that dies is made up for by a later one, which drops the same
        labels under the same key: ingestion takes them once."""
        files, own = defaultdict[tuple[str, str, str, str], Labelled](list), uuid4().hex
        for item, label in self.queue.answered():
            answer, begun = item.answer, item.dropped_at
            if answer is None or answer.at + older_than > now or (by and answer.by != by):
                continue
            if begun and begun + DROPPING > now:
                continue
            if drop := self.queue.begin_drop(item, drop=own, now=now):
                files[label_folder(self._names.workload, item), answer.by, answer.guideline, drop].append((item, label))
        for (folder, person, guideline, _), items in files.items():
            said = {"by": person, **({"guideline": guideline} if guideline else {})}
            ordered = sorted(items, key=lambda each: each[0].id)
            for first in range(0, len(ordered), MOST):
                self._drop(folder, said, ordered[first : first + MOST], now=now)
        return sum(bool(label) for items in files.values() for _, label in items)

    def _drop(self, folder: str, said: Mapping[str, str], items: Labelled, *, now: datetime) -> None:
        """Drop these labels in one file, of which this is `said`; then record each answer, and ask the next person.

        A second opinion has no label: the first counts, or the third."""
        if ids := [item.id for item, label in items if label]:
            key = label_key(folder, ids)
            self.queue.note_drop(key, ids, now=now)  # before the object, which is ingested as soon as it is there
            self._s3.put_object(
                Bucket=self._names.platform.bucket("landing"),
                Key=key,
                Body="".join(label for _, label in items).encode(),
                ContentType="application/jsonlines",
                Metadata={**said, "labels": str(len(ids))},
            )
        firsts = self.queue.find([item.decision for item, _ in items if item.reason == "second_opinion"])
        for item, _ in items:
            assert item.answer
            self.record_answer(item, AuditEvent.REVIEW_ANSWERED, at=item.answer.at)
            self.answers.note(item, first=firsts[item.decision].answer if item.decision in firsts else None)
            if opinion := opinion_item(item, now=now):
                self.queue.open(opinion)
            self.queue.end_drop(item)

    def said_before(self, item: ReviewItem) -> Sequence[LabelValue]:
        """What others have said of the decision of a second or third opinion, in their order."""
        if item.reason not in OPINIONS.values():
            return []
        ids = [f"{which}{item.decision}" for which in ("", *OPINIONS)]
        earlier = ids[: ids.index(item.id)]
        found = self.queue.find(earlier)
        return [answer.value for name in earlier if name in found and (answer := found[name].answer)]

    def record_answer(self, item: ReviewItem, event: AuditEvent, *, at: datetime) -> None:
        """Record the item's answer, or that it was taken back."""
        answer = item.answer
        assert answer
        told = {name: one for name, one in vars(answer).items() if name != "at"}
        told |= {"decision": item.decision, "reason": item.reason, "value": value_to_json(answer.value)}
        self._append(event, by=answer.by, at=at, details=ReviewAnswered(**told))

    def record_escalation(self, item: ReviewItem, *, by: str, note: str, at: datetime) -> None:
        details = ReviewEscalated(decision=item.decision, reason=item.reason, by=by, note=note)
        self._append(AuditEvent.REVIEW_ESCALATED, by=by, at=at, details=details)

    def _record_end(self, item: ReviewItem) -> None:
        details = ReviewUnanswered(decision=item.decision, reason=item.reason)
        # Its own time and name, whoever has met it: so the record is one, though it may be written twice.
        self._append(AuditEvent.REVIEW_UNANSWERED, by=item.id, at=item.expires_at, details=details)
        if self._tell:
            self._tell(item)

    def _append(self, event: AuditEvent, *, by: str, at: datetime, details: ReviewUnanswered) -> None:
        record = Record(actor=ACTOR, execution_arn=by, event=event, as_of=at, cause="command", details=details)
        append(self._dynamodb, table=self._names.platform.audit_table, workload=self._names.workload, record=record)
