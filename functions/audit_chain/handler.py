"""Reads the stream of the audit table, and adds each change to the chain of its workload, in the stream's order."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from itertools import groupby

import boto3
from aws_lambda_powertools import Logger
from pydantic import Field

from millrace.messages.envelope import Message, handles
from millrace.settings.environment import PlatformEnvironment
from millrace.state.audit_chain import AuditChain, ChainChange, ChangeKind, Item

SETTINGS = PlatformEnvironment.parse()
LOGGER = Logger()
S3 = boto3.client("s3")


class ChangedItem(Message):
    """The changed item, as the stream's record describes it."""

    at: datetime = Field(alias="ApproximateCreationDateTime")
    sequence: str = Field(alias="SequenceNumber")
    keys: Item = Field(alias="Keys")
    image: Item | None = Field(alias="NewImage", default=None)
    """The item after the change. None if it was removed."""


class StreamRecord(Message):
    """One record of the stream: one change of one item."""

    kind: ChangeKind = Field(alias="eventName")
    item: ChangedItem = Field(alias="dynamodb")

    @property
    def workload(self) -> str:
        return str(self.item.keys["pk"]["S"])

    @property
    def change(self) -> ChainChange:
        item = self.item
        return ChainChange(kind=self.kind, record=item.image or item.keys, at=item.at, sequence=item.sequence)


class StreamBatch(Message):
    """One call of the function by Lambda's poller."""

    records: tuple[StreamRecord, ...] = Field(alias="Records")


class ChainExtended(Message):
    """The answer of the function."""

    added: int
    """Changes that were not in the chains before."""


@cache
def chain_of(workload: str) -> AuditChain:
    """The chain of the workload. It is kept from call to call, since it need not read again what it wrote itself."""
    return AuditChain(S3, bucket=SETTINGS.platform.bucket("audit"), workload=workload)


@LOGGER.inject_lambda_context
@handles(StreamBatch)
def handler(batch: StreamBatch) -> ChainExtended:
    """Add the changes of the batch and say how many were added. A batch that comes again adds nothing.

    An error fails the whole batch. Lambda then brings it again before any later record of the shard. So no record is
    left out, which would be a gap in the chain."""
    added = 0
    by_workload = sorted(batch.records, key=lambda record: record.workload)  # stable: the order of each one stays
    for workload, records in groupby(by_workload, key=lambda record: record.workload):
        added += chain_of(workload).extend([record.change for record in records])
    LOGGER.info("chained", extra={"changes": len(batch.records), "added": added})
    return ChainExtended(added=added)
