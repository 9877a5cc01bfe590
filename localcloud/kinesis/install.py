"""Amazon Kinesis Data Streams: streams that feed functions.

AWS does: poll each shard of a stream in order, halve a batch that fails, try it again, and at last write its place to a
    destination; with its bytes, if that is a bucket.
moto does: call the function inside PutRecord, once and with one record. Two writers may get one sequence number.
We do: poll with a thread for each event source mapping, which goes from shard to shard. A lock for each stream.
Weaker: the shards of a mapping wait for each other's calls. A batching window does not wait. Records do not expire.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Any
from uuid import uuid4
from zlib import crc32

from localcloud.awslambda.event_sources import POLL_S, StreamPoller, StreamPollers, call
from localcloud.cloudwatch.metrics import put_data
from localcloud.iam.policies import Request
from localcloud.iam.required_permissions.messaging import queue_permissions
from localcloud.iam.required_permissions.s3 import destination_permissions
from localcloud.iam.required_permissions.services import stream_key
from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.kernel.patching import replace

# Streams as event sources: the records of a shard in order, partial failures, halves, retries and destinations.

# The batches of one shard: which comes next, and what becomes of it. It calls nothing and knows no clock of its own.
#
# records   a b c d e f        batch of 4
# [a b c d] fails              halves: [a b] [c d], and e f wait behind them
# [a b]     succeeds           done: 2
# [c d]     fails              halves: [c] [d]
# [c]       fails, again …     at last given up, and goes to the destination


@dataclass(kw_only=True)
class Batch:
    """Records of a shard that go to the function together."""

    records: Sequence[Any]
    tries: int = 0
    """How many calls with it have failed; a split counts as none."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What an event source mapping says of batches that fail."""

    size: int
    bisects: bool
    most_retries: int
    """-1: as many as it takes."""
    oldest_s: int
    """-1: a record is never too old."""


@dataclass(kw_only=True)
class Shard:
    """How far one shard is."""

    rules: Rules
    done: int = 0
    """How many records are done or given up."""
    waiting: list[Batch] = field(default_factory=list)
    """Parts of a batch that has failed, in order."""

    def next_batch(self, records: Sequence[Any]) -> Batch | None:
        """The batch whose turn it is; None if every record is done."""
        if not self.waiting and (left := records[self.done : self.done + self.rules.size]):
            self.waiting = [Batch(records=left)]
        return self.waiting[0] if self.waiting else None

    def take_old(self, batch: Batch, now: float) -> list[Any]:
        """Take out of the batch the records that are too old, and return them. `now` is in seconds since the epoch."""
        if self.rules.oldest_s < 0:
            return []
        old = [one for one in batch.records if now - one.created_at > self.rules.oldest_s]
        self._advance(batch, len(old))
        return old

    def succeed(self, batch: Batch, until: int) -> None:
        """The first `until` records are done, or given up. The rest comes again, as one try that has failed."""
        left = len(batch.records) - until
        self._advance(batch, until)
        if left:
            batch.tries += 1

    def fail(self, batch: Batch) -> None:
        """Halve the batch, or count the try with one that is not halved."""
        middle = len(batch.records) // 2
        if self.rules.bisects and middle:
            halves = (batch.records[:middle], batch.records[middle:])
            self.waiting[:1] = [Batch(records=one, tries=batch.tries) for one in halves]
        else:
            batch.tries += 1

    def _advance(self, batch: Batch, count: int) -> None:
        self.done += count
        batch.records = batch.records[count:]
        if not batch.records:
            self.waiting.remove(batch)


LOG = logging.getLogger(__name__)
ACTIONS = ("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards")
"""What the poller does with the stream. It also lists the streams, an action without a resource."""
NOT_CARRIED_OUT = frozenset({"FilterCriteria", "TumblingWindowInSeconds"})
"""Settings of an event source mapping that are refused by name."""


Lane = tuple[str, int]
"""A shard, and which part of its partition keys."""


class Streams(StreamPollers):
    """The pollers of Kinesis streams."""


def install(cloud: Cloud) -> None:
    """Make Kinesis streams event sources of functions. May go when moto polls its streams."""
    models: Any = import_module("moto.kinesis.models")
    streams, put = cloud.part(Streams), models.Stream.put_record

    def put_record(self: Any, *given: Any, **named: Any) -> tuple[str, str]:
        with streams.changed:
            found: tuple[str, str] = put(self, *given, **named)
            streams.changed.notify_all()
        return found

    # Inside PutRecord moto's streams call the functions that are listed here. The list stays empty: our pollers call.
    replace(models.Stream, lambda_event_source_mappings=property(lambda _: {}, lambda *_: None), put_record=put_record)

    streams.serve(cloud, "kinesis", Poller, name="Kinesis", rights=_rights, refused=NOT_CARRIED_OUT)


def _rights(arn: str) -> Iterator[Request]:
    """Yields what the poller of the stream does in the name of the function's role."""
    yield from (Request(action=f"kinesis:{action}", resources=(arn,)) for action in ACTIONS)
    yield Request(action="kinesis:ListStreams", resources=("*",))
    yield from stream_key(arn, "Decrypt")


class Poller(StreamPoller):
    """Feeds one function from one stream, shard after shard.

    With a ParallelizationFactor a shard has so many lanes: records of one partition key keep their order, others do
    not. The lanes have their turns one after the other, where AWS calls them at once."""

    def __init__(self, cloud: Cloud, backend: Any, mapping: Any) -> None:
        super().__init__(cloud, backend, mapping)
        self._name = mapping.event_source_arn.rpartition("/")[2]
        self.what = f"the stream {self._name}"
        self._rules = Rules(
            size=int(mapping.batch_size),
            bisects=str(mapping.bisect_on_error).lower() == "true",
            most_retries=_number(mapping.max_retry_attempts),
            oldest_s=_number(mapping.max_record_age),
        )
        self._lanes = int(getattr(mapping, "parallelization_factor", None) or 1)
        self._destination = ((mapping.destination_config or {}).get("OnFailure") or {}).get("Destination", "")
        from_now = mapping.starting_position == "LATEST"
        self._shards = {
            name: Shard(rules=self._rules, done=len(records) if from_now else 0)
            for name, records in self._records().items()
        }

    def left(self) -> int:
        return sum(len(records) - self._shard(name).done for name, records in self._records().items())

    def step(self) -> None:
        went = [self._step(name, records) for name, records in self._records().items()]
        # A shard whose batch has failed holds up no other one: the wait comes when all have had their turn.
        if not all(went):
            self._cloud.stopping.wait(POLL_S)

    def _records(self) -> dict[Lane, Sequence[Any]]:
        """The records of each lane of each shard, in order."""
        stream = moto_backend("kinesis", self._cloud.region).streams.get(self._name)
        found: dict[Lane, list[Any]] = {}
        with self._cloud.part(Streams).changed:
            for shard in stream.shards.values() if stream else ():
                found |= {(shard.shard_id, lane): [] for lane in range(self._lanes)}
                for record in shard.records.values():
                    found[shard.shard_id, crc32(record.partition_key.encode()) % self._lanes].append(record)
        return dict(found)

    def _shard(self, lane: Lane) -> Shard:
        return self._shards.setdefault(lane, Shard(rules=self._rules))

    def _step(self, lane: Lane, records: Sequence[Any]) -> bool:
        """Call the function with the next batch of the lane. Returns False if a batch has failed."""
        shard, (name, _) = self._shard(lane), lane
        batch = shard.next_batch(records)
        if batch is None:
            return True
        if old := shard.take_old(batch, self._cloud.clock.timestamp()):
            self._tell(name, old, "RecordAgeExceeded", batch.tries)
        if not batch.records:
            return True
        until = self._invoke(name, batch)
        is_whole = until == len(batch.records)
        if until is None:
            shard.fail(batch)
        else:
            shard.succeed(batch, until)
        if not is_whole and 0 <= shard.rules.most_retries < batch.tries:
            self._tell(name, batch.records, "RetryAttemptsExhausted", batch.tries)
            shard.succeed(batch, len(batch.records))
        return is_whole

    def _invoke(self, shard: str, batch: Batch) -> int | None:
        """How many of the first records the function has done; None if the call has failed."""
        age_ms = max(0.0, self._cloud.clock.timestamp() - batch.records[-1].created_at) * 1000
        dimensions = [{"Name": "FunctionName", "Value": self._mapping.function_name.rpartition(":")[2]}]
        age = {"MetricName": "IteratorAge", "Value": age_ms, "Unit": "Milliseconds", "Dimensions": dimensions}
        put_data(self._cloud, "AWS/Lambda", [age])
        numbers = [str(record.sequence_number) for record in batch.records]
        failed = call(self._cloud, self._mapping, [self._event(shard, one) for one in batch.records], numbers)
        # What follows the first record that has failed comes again too, as the order of a shard is kept.
        return None if failed is None else next((n for n, one in enumerate(numbers) if one in failed), len(numbers))

    def _tell(self, shard: str, records: Sequence[Any], condition: str, tries: int) -> None:
        """Write the place of records that are given up to the destination, a queue, in the role's name.

        A bucket gets the records too, as the text of the function's event.

        https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html"""
        if not self._destination:
            return
        arrived = [datetime.fromtimestamp(one.created_at, UTC).isoformat() for one in (records[0], records[-1])]
        document = {
            "requestContext": {
                "functionArn": self._mapping.function_arn,
                "condition": condition,
                "approximateInvokeCount": tries,
            },
            "version": "1.0",
            "timestamp": self._cloud.clock.now().isoformat(),
            "KinesisBatchInfo": {
                "shardId": shard,
                "startSequenceNumber": str(records[0].sequence_number),
                "endSequenceNumber": str(records[-1].sequence_number),
                "approximateArrivalOfFirstRecord": arrived[0],
                "approximateArrivalOfLastRecord": arrived[1],
                "batchSize": len(records),
                "streamArn": self._mapping.event_source_arn,
            },
        }
        name = self._destination.rpartition(":")[2]
        if ":s3:" in self._destination:
            event = {"Records": [self._event(shard, record) for record in records]}
            key = f"aws/lambda/{self._mapping.uuid}/{shard}/{self._cloud.clock.now():%Y-%m-%dT%H.%M.%S}-{uuid4()}"
            if self._may("s3:PutObject", destination_permissions(name, key)):
                body = json.dumps(document | {"payload": json.dumps(event)})
                self._cloud.client("s3").put_object(Bucket=name, Key=key, Body=body.encode())
        elif self._may("sqs:SendMessage", queue_permissions("sqs:SendMessage", name)):
            sqs = self._cloud.client("sqs")
            sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"], MessageBody=json.dumps(document))

    def _may(self, action: str, requests: Iterable[Request]) -> bool:
        """Whether the function's role may write to the destination."""
        from localcloud.iam.identity import refused

        role = self._backend.get_function(self._mapping.function_name).role
        for request in requests:
            if refused(self._cloud, role, action, request):
                LOG.error("%s: the destination is not written: %s may not %s", self.what, role, request.action)
                return False
        return True

    def _event(self, shard: str, record: Any) -> dict[str, Any]:
        """The record as Lambda's poller writes it. https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html"""
        return {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": record.partition_key,
                "sequenceNumber": str(record.sequence_number),
                "data": record.data,
                "approximateArrivalTimestamp": record.created_at,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{shard}:{record.sequence_number}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": self._backend.get_function(self._mapping.function_name).role,
            "awsRegion": self._cloud.region,
            "eventSourceARN": self._mapping.event_source_arn,
        }


def _number(value: Any) -> int:
    """The number of a setting; -1, which is AWS's own, without it."""
    return -1 if value is None else int(value)
