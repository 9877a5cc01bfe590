"""What becomes of a person's answer: its label is dropped into the landing bucket, and the audit says who gave it.

12:00:00  answered      it can be taken back
12:00:30  label dropped when the person goes on after UNDO, or stops; else the hourly sweep does it
12:00:32  ingested      like every file of the feed `labels`
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from millrace.decisions.review import ReviewItem, label_key, value_to_json
from millrace.messages.audit import AuditEvent, ReviewAnswered, ReviewEscalated, ReviewUnanswered
from millrace.names import WorkloadNames
from millrace.state.audit import Record, append
from millrace.state.reviews import ReviewQueue

UNDO = timedelta(seconds=30)
"""For so long an answer can be taken back while its person goes on."""
ACTOR = "review"


class Reviews:
    """The queue of a workload, for everything that happens to an item after it was opened."""

    def __init__(self, *, dynamodb: Any, s3: Any, names: WorkloadNames) -> None:
        """`dynamodb` and `s3` are boto3's clients."""
        self._dynamodb, self._s3, self._names = dynamodb, s3, names
        self.queue = ReviewQueue(dynamodb, names, ended=self._record_end)

    def drop_labels(self, *, now: datetime, older_than: timedelta = UNDO, by: str = "") -> int:
        """Drop the label of each answer that was given before that, of one person or of all. Returns how many.

        A call that dies is made up for by the next one: a label that is dropped twice has the same key and bytes, and
        ingestion takes it once."""
        dropped = 0
        for item, label in self.queue.answered():
            answer = item.answer
            if answer is None or answer.at + older_than > now or (by and answer.by != by):
                continue
            if not self.queue.begin_drop(item, now=now):
                continue
            self._s3.put_object(
                Bucket=self._names.platform.bucket("landing"),
                Key=label_key(self._names.workload, item),
                Body=label.encode(),
                ContentType="application/jsonlines",
                Metadata={"decision": item.id, "by": answer.by, "seconds": f"{answer.seconds:.1f}"},
            )
            self.record_answer(item, AuditEvent.REVIEW_ANSWERED, at=answer.at)
            self.queue.end_drop(item)
            dropped += 1
        return dropped

    def record_answer(self, item: ReviewItem, event: AuditEvent, *, at: datetime) -> None:
        """Record the item's answer, or that it was taken back."""
        answer = item.answer
        if answer is None:
            raise ValueError(f"{item.id}: expected an answer, got none")
        details = ReviewAnswered(
            decision=item.id,
            reason=item.reason,
            by=answer.by,
            value=value_to_json(answer.value),
            seconds=answer.seconds,
            source=answer.source,
        )
        self._append(event, by=answer.by, at=at, details=details)

    def record_escalation(self, item: ReviewItem, *, by: str, note: str, at: datetime) -> None:
        details = ReviewEscalated(decision=item.id, reason=item.reason, by=by, note=note)
        self._append(AuditEvent.REVIEW_ESCALATED, by=by, at=at, details=details)

    def _record_end(self, item: ReviewItem) -> None:
        details = ReviewUnanswered(decision=item.id, reason=item.reason)
        # Its own time and name, whoever has met it: so the record is one, though it may be written twice.
        self._append(AuditEvent.REVIEW_UNANSWERED, by=item.id, at=item.expires_at, details=details)

    def _append(self, event: AuditEvent, *, by: str, at: datetime, details: ReviewUnanswered) -> None:
        record = Record(actor=ACTOR, execution_arn=by, event=event, as_of=at, cause="command", details=details)
        table = self._names.platform.audit_table
        append(self._dynamodb, table=table, workload=self._names.workload, record=record)
