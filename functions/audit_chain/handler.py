"""The stream of the audit table: each change goes to the chain of its workload, in the stream's order."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from itertools import groupby

import boto3
from aws_lambda_powertools import Logger
from pydantic import Field

from millrace.messages.envelope import Message, handles
from millrace.settings.environment import PlatformEnvironment
from millrace.state.audit_chain import AuditChain, Change, ChangeKind, Item

SETTINGS = PlatformEnvironment.parse()
LOGGER = Logger()
S3 = boto3.client("s3")


class ChangedItem(Message):
    """The item in its table."""

    at: datetime = Field(alias="ApproximateCreationDateTime")
    sequence: str = Field(alias="SequenceNumber")
    keys: Item = Field(alias="Keys")
    image: Item | None = Field(alias="NewImage", default=None)


class StreamRecord(Message):
    """One record of the stream."""

    kind: ChangeKind = Field(alias="eventName")
    item: ChangedItem = Field(alias="dynamodb")

    @property
    def workload(self) -> str:
        return str(self.item.keys["pk"]["S"])

    @property
    def change(self) -> Change:
        item = self.item
        return Change(kind=self.kind, record=item.image or item.keys, at=item.at, sequence=item.sequence)


class StreamBatch(Message):
    """One call of the function by Lambda's poller."""

    records: tuple[StreamRecord, ...] = Field(alias="Records")


class ChainExtended(Message):
    """What is in the chains now."""

    added: int
    """Changes that were not in them before."""


@cache
def chain_of(workload: str) -> AuditChain:
    """Kept from call to call: it remembers what it wrote."""
    return AuditChain(S3, bucket=SETTINGS.platform.bucket("audit"), workload=workload)


@LOGGER.inject_lambda_context
@handles(StreamBatch)
def handler(batch: StreamBatch) -> ChainExtended:
    """How many changes were added; a batch that comes again adds nothing.

    An error fails the whole batch, and Lambda brings it again before any later record of its shard: a record that were
    left out would be a gap in the chain."""
    added = 0
    by_workload = sorted(batch.records, key=lambda record: record.workload)  # stable: the order of each one stays
    for workload, records in groupby(by_workload, key=lambda record: record.workload):
        added += chain_of(workload).extend([record.change for record in records])
    LOGGER.info("chained", extra={"changes": len(batch.records), "added": added})
    return ChainExtended(added=added)
