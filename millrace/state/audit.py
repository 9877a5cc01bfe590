"""The audit table: who decided what, when and why; records are added, never changed.

pk is the workload; sk is `<as_of>#<digest of the record>`, so a retry adds nothing and reading is in order of time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from millrace.timestamps import moment, stamp


@dataclass(frozen=True, kw_only=True)
class Record:
    """One decision."""

    who: str
    """The function that decided, and the execution that asked."""
    what: str
    """For example `retrain.refused`."""
    as_of: datetime
    cause: str
    """Id of the event that led here."""
    details: Mapping[str, Any]
    """The evidence, as JSON allows it."""


def append(client: Any, *, table: str, workload: str, record: Record) -> str:
    """The sort key under which the record lies; `client` is boto3's DynamoDB client."""
    fields = asdict(record) | {"as_of": stamp(record.as_of), "details": json.dumps(record.details, sort_keys=True)}
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    key = f"{fields['as_of']}#{digest[:32]}"
    with suppress(client.exceptions.ConditionalCheckFailedException):  # the same record, written before a retry
        client.put_item(
            TableName=table,
            Item={name: {"S": str(value)} for name, value in {"pk": workload, "sk": key, **fields}.items()},
            ConditionExpression="attribute_not_exists(pk)",
        )
    return key


def read(client: Any, *, table: str, workload: str) -> Iterator[Record]:
    """The records in order of time."""
    for row in rows(client, table=table, workload=workload):
        yield Record(
            who=row["who"],
            what=row["what"],
            as_of=moment(row["as_of"]),
            cause=row["cause"],
            details=json.loads(row["details"]),
        )


def rows(client: Any, *, table: str, workload: str) -> Iterator[dict[str, str]]:
    """The records as they lie in the table, `sk` among them, in order of time."""
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": workload}},
    )
    for page in pages:
        for item in page["Items"]:
            yield {name: value["S"] for name, value in item.items()}
