"""What waits in the queue of a consumer: decisions as documents, some together in a message.

Of a scored file it is a reference to some of its rows, which the consumer's function reads: a file has millions.

{"decisions": [{"id": "r-7-0", "workload": "electricity", "event_time": "1997-01-01T00:00:00Z",
                "key": {"timestamp": "1997-01-01T00:00:00"}, "answer": {"value": 1, "confidence": 0.93},
                "action": "automated", "reason": "sure", "model_version": "3", "source": "api",
                "decided_at": "2026-11-20T07:30:00.000000Z"}]}

Of a row to which no answer comes the document says why: {"action": "unanswered", "reason": "refused", "because":
"load: expected <= 1, got 7", …}. Its reason is `refused` by the contract, `no_model` answered nor a fallback, `expired`
before a person answered, or `undelivered` to the next workload.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from millrace.aws import queues
from millrace.aws.objects import RangedObject
from millrace.aws.queues import MESSAGE_BYTES
from millrace.consumers.catalogue import Kind, of_stage, queue_of
from millrace.consumers.consumer import Client, Document
from millrace.decisions.record import Decision, iso
from millrace.decisions.review import ReviewItem, answer_of
from millrace.decisions.scored import ScoredDay, decisions, delivered_key, rows_by_day, short_columns
from millrace.messages.envelope import Message
from millrace.names import WorkloadNames
from millrace.packing import packed
from millrace.timestamps import format_utc

if TYPE_CHECKING:
    from millrace.tasks.task import Task
    from millrace.workload.declaration import Prediction

MOST = 100
"""The most decisions of a message. If the target refuses one of them, all come again."""
ROWS = 2000
"""The rows of a scored file that a message refers to."""


NO_ANSWER = {"action": "unanswered", "answer": {"value": None}, "key": {}, "event_time": None, "model_version": None}
"""What a document has of a row to which no answer comes, where nothing else is known."""


class ScoredRows(Message):
    """Rows of a delivered file, in a row group of it: ROWS of them from `first` on, or as many as there are."""

    known: ScoredDay
    drop_id: str
    group: int
    first: int


def document(decision: Decision, *, has_row: bool = False) -> dict[str, Any]:
    """The decision as consumers get it."""
    return _document(decision, has_row=has_row) | {
        "workload": decision.workload,
        "answer": dict(decision.told),
        "action": decision.action,
        "model_version": decision.model_version,
        "decided_at": iso(decision.inferred_at),  # to the microsecond: of one id the newest counts
    }


def _wanted(decided: Iterable[Decision], consumer: Kind) -> Iterator[Document]:
    """The decisions that the consumer wants. Of a fallback that says nothing it may hear that no answer comes."""
    for one in decided:
        if one.action in consumer.actions:
            yield document(one, has_row=consumer.reads_rows)
        elif one.action == "fallback" and one.value is None and "unanswered" in consumer.actions:
            yield document(one) | {"action": "unanswered", "because": "no model answered, and no fallback"}


def _document(of: Decision | ReviewItem, *, has_row: bool) -> dict[str, Any]:
    # A row that is too long for an item is in the lake alone: the next workload refuses an empty one, and says so.
    row = {"row": json.loads(of.input or "{}")} if has_row else {}
    return row | {
        "id": of.id,
        "event_time": format_utc(of.event_time),
        "key": dict(of.key),
        "reason": of.reason,
        "source": of.source,
    }


@dataclass(frozen=True, kw_only=True)
class ConsumerQueues:
    """The queues of these consumers of a workload. `sqs` is boto3's client.

    Each method raises QueueError if a message is refused; consumers may then get decisions again, by the same ids."""

    names: WorkloadNames
    consumers: Mapping[str, Kind]
    sqs: Any

    @classmethod
    def of(cls, names: WorkloadNames, declared: Mapping[str, Kind], client: Client) -> ConsumerQueues:
        """The queues of the consumers that the stage has. `client` is `boto3.client`."""
        return cls(names=names, consumers=of_stage(declared, names.platform.stage), sqs=client("sqs"))

    def send(self, decided: Sequence[Decision]) -> None:
        """Put the decisions that each consumer wants into its queue."""
        self._send(lambda consumer: bodies(_wanted(decided, consumer)))

    def send_answered(self, items: Sequence[ReviewItem], prediction_spec: Prediction, task: Task) -> None:
        """Put what people have decided into the queue of each consumer.

        It is no model's answer. Whose it is stays in the audit."""

        def answered(consumer: Kind) -> Iterator[Document]:
            for item in items:
                assert item.answer
                yield _document(item, has_row=consumer.reads_rows) | {
                    "workload": self.names.workload,
                    "answer": answer_of(item, item.answer.value, prediction_spec, task),
                    "action": "answered",
                    "model_version": None,
                    "decided_at": iso(item.answer.at),
                }

        self._send(lambda consumer: bodies(answered(consumer)))

    def send_expired(self, item: ReviewItem) -> None:
        """Tell of a decision that waited for a person, and that nobody has answered in time."""
        if item.action == "review":
            because = f"nobody has answered by {format_utc(item.expires_at)}"
            why = {"reason": "expired", "because": because, "decided_at": iso(item.expires_at)}
            self.send_unanswered([_document(item, has_row=False) | why])

    def send_unanswered(self, documents: Iterable[Document]) -> None:
        """Tell of rows to which no answer comes. Each has `id`, `reason`, `because`, `source` and `decided_at`."""
        whole = [{**NO_ANSWER, **one, "workload": self.names.workload} for one in documents]
        self._send(lambda consumer: bodies(whole) if "unanswered" in consumer.actions else [])

    def send_scored(self, file: str, known: ScoredDay, *, drop_id: str) -> None:
        """Put references to all rows of a delivered file into the queue of each consumer that takes files.

        `file` is its path, `known` the ScoredDay of any of its days. The consumers' functions read the rows."""
        import pyarrow.parquet as pq

        metadata = pq.ParquetFile(file).metadata
        waiting = [
            ScoredRows(known=known, drop_id=drop_id, group=group, first=first).model_dump_json()
            for group in range(metadata.num_row_groups)
            for first in range(0, metadata.row_group(group).num_rows, ROWS)
        ]
        self._send(lambda consumer: waiting if consumer.takes_files else [])

    def _send(self, bodies_for: Callable[[Kind], Iterable[str]]) -> None:
        for name, consumer in self.consumers.items():
            url = self.names.platform.queue_url(self.names.queue(queue_of(name)))
            queues.send(self.sqs, url, bodies_for(consumer))


def bodies(documents: Iterable[Document]) -> Iterator[str]:
    """The documents in order, as messages of MOST documents and MESSAGE_BYTES bytes at most."""
    texts = (json.dumps(one, separators=(",", ":"), allow_nan=False) for one in documents)
    for some in packed(texts, (lambda text: len(text) + 1, MESSAGE_BYTES), most=MOST):
        yield f'{{"decisions":[{",".join(some)}]}}'


def portions(s3: Any, names: WorkloadNames, consumer: Kind, body: str) -> Iterator[Sequence[Document]]:
    """The decisions of a message, MOST at a time. Of a scored file they are those that the consumer wants.

    `s3` is boto3's client. Raises its error if the file is gone."""
    if "decisions" in (message := json.loads(body)):
        yield message["decisions"]
        return
    known = ScoredRows.model_validate(message)
    found = _wanted(_rows(s3, names, known), consumer)
    while portion := list(islice(found, MOST)):
        yield portion


def _rows(s3: Any, names: WorkloadNames, rows: ScoredRows) -> Iterator[Decision]:
    import pyarrow.parquet as pq

    file = RangedObject(s3, names.platform.bucket("lake"), delivered_key(names.workload, rows.drop_id))
    parquet = pq.ParquetFile(file, page_checksum_verification=True)
    part = parquet.read_row_group(rows.group, columns=short_columns(parquet.schema_arrow)).slice(rows.first, ROWS)
    # Rows without a day are no decisions, as in the lake.
    part = part.filter(part[rows.known.event_time].is_valid())
    days = dict.fromkeys(rows_by_day(part[rows.known.event_time]), rows.known)
    if days:
        yield from decisions(part, days, workload=names.workload, drop_id=rows.drop_id)
