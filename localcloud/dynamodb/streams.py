"""Streams of tables as event sources: batches in order, one at a time, each tried until it succeeds.

moto calls the function inside PutItem, once and while the writer waits. It forgets all records when the function
answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC
from importlib import import_module
from typing import Any

from localcloud.awslambda.event_sources import OF_STREAMS, POLL_S, StreamPoller, StreamPollers, call
from localcloud.iam.policies import Request
from localcloud.iam.required_permissions.services import table_key
from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.kernel.patching import replace

ACTIONS = ("DescribeStream", "GetRecords", "GetShardIterator")
"""What the poller does with the stream. It also lists the streams, an action without a resource."""
NOT_CARRIED_OUT = frozenset(
    {"FilterCriteria", "FunctionResponseTypes", "MaximumBatchingWindowInSeconds", *OF_STREAMS} - {"StartingPosition"}
)
"""Settings of an event source mapping that are refused by name."""


class Streams(StreamPollers):
    """The pollers of streams of tables."""


def poll_streams(cloud: Cloud) -> None:
    """Make streams of tables event sources of functions. May go when moto polls its streams."""
    model: Any = import_module("moto.dynamodb.models.table")
    streams, add = cloud.part(Streams), model.StreamShard.add

    def add_and_notify(self: Any, old: Any, new: Any) -> None:
        add(self, old, new)
        streams.notify()

    # Inside PutItem moto's tables call the functions that are listed here. The list stays empty: our pollers call.
    replace(model.Table, lambda_event_source_mappings=property(lambda _: {}, lambda *_: None))
    replace(model.StreamShard, add=add_and_notify)

    streams.serve(cloud, "dynamodb", Poller, name="DynamoDB", rights=_rights, refused=NOT_CARRIED_OUT)


def _rights(arn: str) -> Iterator[Request]:
    """Yields what the poller of the stream does in the name of the function's role."""
    yield from (Request(action=f"dynamodb:{action}", resources=(arn,)) for action in ACTIONS)
    yield Request(action="dynamodb:ListStreams", resources=("*",))
    # A stream is encrypted by the same key as its table.
    yield from table_key(_table(arn))


def _table(arn: str) -> str:
    """The table of a stream: `audit` for `arn:aws:dynamodb:…:table/audit/stream/2026-11-21T09:00:00`."""
    return arn.split("/")[1]


class Poller(StreamPoller):
    """moto's streams have one shard, so the records have one order. A failed batch is tried before any later one."""

    def __init__(self, cloud: Cloud, backend: Any, mapping: Any) -> None:
        super().__init__(cloud, backend, mapping)
        self._table = _table(mapping.event_source_arn)
        self.what = f"the stream of {self._table}"
        # How many records of the stream are done. The stream keeps all its records, so this is an index too.
        self._done = len(self._records()) if mapping.starting_position == "LATEST" else 0

    def left(self) -> int:
        return len(self._records()) - self._done

    def step(self) -> None:
        # https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html (MaximumRetryAttempts, -1)
        batch = self._records()[self._done : self._done + int(self._mapping.batch_size)]
        if call(self._cloud, self._mapping, [self._event(record.to_json()) for record in batch], ()) is not None:
            self._done += len(batch)
        else:
            self._cloud.stopping.wait(POLL_S)

    def _records(self) -> Sequence[Any]:
        table = moto_backend("dynamodb", self._cloud.region).tables.get(self._table)
        shard = table.stream_shard if table else None
        return shard.items if shard else ()

    def _event(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record as Lambda's poller writes it, with its time in seconds since the epoch."""
        changed = dict(record["dynamodb"])
        at = changed["ApproximateCreationDateTime"].replace(tzinfo=UTC)
        changed["ApproximateCreationDateTime"] = int(at.timestamp())
        place = {"awsRegion": self._cloud.region, "eventSourceARN": self._mapping.event_source_arn}
        return {**record, **place, "dynamodb": changed}
