"""What waits in the queue of a consumer: decisions as documents, some together in a message.

{"decisions": [{"id": "r-7-0", "workload": "electricity", "event_time": "1997-01-01T00:00:00Z",
                "key": {"timestamp": "1997-01-01T00:00:00"}, "answer": {"value": 1, "confidence": 0.93},
                "action": "automated", "reason": "sure", "model_version": "3", "source": "api",
                "decided_at": "2026-11-20T07:30:00Z"}]}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from millrace.aws import queues
from millrace.aws.queues import MESSAGE_BYTES
from millrace.consumers.catalogue import Kind, queue_of
from millrace.consumers.consumer import Document
from millrace.decisions.record import Decision
from millrace.names import WorkloadNames
from millrace.timestamps import format_utc

MOST = 100
"""The most decisions of a message. If the target refuses one of them, all come again."""


def document(decision: Decision) -> dict[str, Any]:
    """The decision as consumers get it. An answer that must influence nobody (`held_out`) is left empty."""
    is_hidden = decision.reason == "held_out"
    return {
        "id": decision.id,
        "workload": decision.workload,
        "event_time": format_utc(decision.event_time),
        "key": dict(decision.key),
        "answer": dict.fromkeys(decision.output) if is_hidden else dict(decision.output),
        "action": decision.action,
        "reason": decision.reason,
        "model_version": decision.model_version,
        "source": decision.source,
        "decided_at": format_utc(decision.inferred_at),
    }


def send(sqs: Any, names: WorkloadNames, consumers: Mapping[str, Kind], decisions: Sequence[Decision]) -> None:
    """Put the decisions that each consumer wants into its queue. `sqs` is boto3's client.

    Raises QueueError if a message is refused; consumers may then get decisions again, which have the same ids."""
    for name, consumer in consumers.items():
        wanted = [document(decision) for decision in decisions if decision.action in consumer.actions]
        queues.send(sqs, names.platform.queue_url(names.queue(queue_of(name))), bodies(wanted))


def bodies(documents: Iterable[Document]) -> Iterator[str]:
    """The documents in order, as messages of MOST documents and MESSAGE_BYTES bytes at most."""
    packed: list[str] = []
    size = 0
    for one in documents:
        text = json.dumps(one, separators=(",", ":"), allow_nan=False)
        if packed and (len(packed) == MOST or size + len(text) + 1 > MESSAGE_BYTES):
            yield _body(packed)
            packed, size = [], 0
        packed.append(text)
        size += len(text) + 1
    if packed:
        yield _body(packed)


def _body(packed: Sequence[str]) -> str:
    return f'{{"decisions":[{",".join(packed)}]}}'


def read(body: str) -> list[Document]:
    """The documents of a message of `send`."""
    documents: list[Document] = json.loads(body)["decisions"]
    return documents
