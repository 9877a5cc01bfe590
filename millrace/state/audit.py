"""The audit table: which function decided what, for which execution, when and why. Records are added, never changed.

pk is the workload, sk is `<as_of>#<digest of the record>`. So a retry adds nothing, and records are read in order of
time. A record has these attributes:

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

from millrace.messages.audit import AuditEvent
from millrace.messages.envelope import Message
from millrace.timestamps import format_utc, parse_utc


@dataclass(frozen=True, kw_only=True)
class Record:
    """One decision."""

    actor: str
    """The function that decided."""
    execution_arn: str
    """The ARN of the execution that it decided for, or of the function that a person called. Stored as `execution`."""
    event: AuditEvent
    as_of: datetime
    """The time that counts as now in the execution."""
    cause: str
    """The `cause` of the execution."""
    details: Message
    """The evidence, of the class of the event's details."""
    key: str = field(default="", compare=False)
    """The sort key. Empty for a record that was not read from the table."""

    @property
    def run(self) -> str:
        """The execution's name."""
        return self.execution_arn.rpartition(":")[2]


def append(client: Any, *, table: str, workload: str, record: Record) -> str:
    """Add the record to the table and return its sort key. The same record a second time adds nothing.

    `client` is boto3's DynamoDB client. Raises ValueError if the details are not of the event's class: no reader
    could ever parse them."""
    if not isinstance(record.details, record.event.details):
        expected, came = record.event.details.__name__, type(record.details).__name__
        raise ValueError(f"audit record {record.event}: expected details {expected}, got {came}")
    fields = {
        "actor": record.actor,
        "execution": record.execution_arn,
        "event": str(record.event),
        "as_of": format_utc(record.as_of),
        "cause": record.cause,
        "details": json.dumps(record.details.model_dump(mode="json"), sort_keys=True),
    }
    # The key begins with the time, so that the table sorts by it. The digest gives the same record the same key, so a
    # retry is harmless.
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    key = f"{fields['as_of']}#{digest[:32]}"
    with suppress(client.exceptions.ConditionalCheckFailedException):  # the same record, written before a retry
        client.put_item(
            TableName=table,
            Item={name: {"S": value} for name, value in {"pk": workload, "sk": key, **fields}.items()},
            ConditionExpression="attribute_not_exists(pk)",
        )
    return key


def read(
    client: Any,
    *,
    table: str,
    workload: str,
    newest_first: bool = False,
    since: datetime | None = None,
) -> Iterator[Record]:
    """The records in order of time, or the newest first. Records of one second have no order among themselves.

    With `since`, those from this time on.

    Pages are fetched as they are consumed, so a caller that stops early reads no more of the table."""
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :pk AND sk >= :since",
        ExpressionAttributeValues={":pk": {"S": workload}, ":since": {"S": format_utc(since) if since else " "}},
        ScanIndexForward=not newest_first,
    )
    for page in pages:
        for item in page["Items"]:
            yield _record({name: value["S"] for name, value in item.items()})


def count(client: Any, *, table: str, workload: str) -> int:
    """The number of the workload's records. Records of the last second may not be counted yet."""
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
        details=event.details.model_validate_json(row["details"]),
        key=row["sk"],
    )
