"""The audit table: which function decided what, for which execution, when and why; records are added, never changed.

pk is the workload; sk is `<as_of>#<digest of the record>`, so a retry adds nothing and reading is in order of time.

    {"actor": "gating", "execution": "arn:…:train-7f", "event": "model.refused", "as_of": "1997-06-01T06:00:00Z",
     "cause": "…", "details": "{\\"passed\\": false, \\"verdicts\\": […]}"}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from millrace.messages.audit import DETAILS, AuditEvent
from millrace.messages.envelope import Message
from millrace.timestamps import format_utc, parse_utc


@dataclass(frozen=True, kw_only=True)
class Record:
    """One decision."""

    actor: str
    """The function that decided."""
    execution_arn: str
    """Of the execution that it decided for, or of the function that a person called; stored as `execution`."""
    event: AuditEvent
    as_of: datetime
    cause: str
    """Id of the event that led here."""
    details: Message
    """The evidence, of the event's class in DETAILS."""
    key: str = field(default="", compare=False)
    """The sort key of a record that was read."""

    @property
    def run(self) -> str:
        """The execution's name."""
        return self.execution_arn.rpartition(":")[2]


def append(client: Any, *, table: str, workload: str, record: Record) -> str:
    """The sort key of the record; `client` is boto3's DynamoDB client.

    Raises ValueError when the details are not of the event's class: no reader could ever parse them."""
    if not isinstance(record.details, DETAILS[record.event]):
        expected, came = DETAILS[record.event].__name__, type(record.details).__name__
        raise ValueError(f"audit record {record.event}: expected details {expected}, got {came}")
    fields = {
        "actor": record.actor,
        "execution": record.execution_arn,
        "event": str(record.event),
        "as_of": format_utc(record.as_of),
        "cause": record.cause,
        "details": json.dumps(record.details.model_dump(mode="json"), sort_keys=True),
    }
    # The time first, so that the table sorts by it; the digest makes the same record the same key, and a retry
    # harmless.
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    key = f"{fields['as_of']}#{digest[:32]}"
    with suppress(client.exceptions.ConditionalCheckFailedException):  # the same record, written before a retry
        client.put_item(
            TableName=table,
            Item={name: {"S": value} for name, value in {"pk": workload, "sk": key, **fields}.items()},
            ConditionExpression="attribute_not_exists(pk)",
        )
    return key


def read(client: Any, *, table: str, workload: str) -> Iterator[Record]:
    """The records in order of time."""
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": workload}},
    )
    for page in pages:
        for item in page["Items"]:
            yield _record({name: value["S"] for name, value in item.items()})


def count(client: Any, *, table: str, workload: str) -> int:
    """The number of records; those of the last second may not be counted."""
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": workload}},
        Select="COUNT",
    )
    return sum(page["Count"] for page in pages)


def _record(row: dict[str, str]) -> Record:
    event = AuditEvent(row["event"])
    return Record(
        actor=row["actor"],
        execution_arn=row["execution"],
        event=event,
        as_of=parse_utc(row["as_of"]),
        cause=row["cause"],
        details=DETAILS[event].model_validate_json(row["details"]),
        key=row["sk"],
    )
