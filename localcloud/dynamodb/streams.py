"""Streams of tables as event sources: batches in order, one at a time, each tried until it succeeds.

moto calls the function inside PutItem, once and while the writer waits. It forgets all records when the function
answers."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from datetime import UTC
from importlib import import_module
from typing import Any

from localcloud.awslambda.event_sources import EventSource, EventSources, StreamPollers, is_wanted
from localcloud.iam.policies import Request
from localcloud.iam.required_permissions.services import table_key
from localcloud.kernel.cloud import ACCOUNT, Cloud
from localcloud.kernel.patching import replace

LOG = logging.getLogger(__name__)
POLL_S = 0.5
"""The longest wait of a poller that has nothing to do, in real seconds."""
LONGEST_WAIT_S = 8.0
"""The longest wait between two attempts with a batch that fails, in real seconds: 0.5, 1, 2, 4, 8, 8, …"""
ACTIONS = ("DescribeStream", "GetRecords", "GetShardIterator")
"""What the poller does with the stream. It also lists the streams, an action without a resource."""
NOT_CARRIED_OUT = frozenset(
    {
        "BisectBatchOnFunctionError",
        "DestinationConfig",
        "FilterCriteria",
        "FunctionResponseTypes",
        "MaximumBatchingWindowInSeconds",
        "MaximumRecordAgeInSeconds",
        "MaximumRetryAttempts",
        "ParallelizationFactor",
        "TumblingWindowInSeconds",
    }
)
"""Settings of an event source mapping that are refused by name."""


class Streams(StreamPollers["Poller"]):
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

    def start(backend: Any, mapping: Any) -> None:
        streams.start(cloud, mapping, Poller(cloud, backend, mapping))

    cloud.part(EventSources)["dynamodb"] = EventSource(
        name="DynamoDB", rights=_rights, start=start, refused=NOT_CARRIED_OUT
    )
    cloud.at_stop(streams.notify)


def pending(cloud: Cloud) -> list[str]:
    """The tables with records that a function has not done, as `2 records in the stream of TABLE`."""
    return [f"{count} records in the stream of {poller.table}" for poller, count in cloud.part(Streams).left()]


def _rights(arn: str) -> Iterator[Request]:
    """Yields what the poller of the stream does in the name of the function's role."""
    yield from (Request(action=f"dynamodb:{action}", resources=(arn,)) for action in ACTIONS)
    yield Request(action="dynamodb:ListStreams", resources=("*",))
    # A stream is encrypted by the same key as its table.
    yield from table_key(_table(arn))


def _table(arn: str) -> str:
    """The table of a stream: `audit` for `arn:aws:dynamodb:…:table/audit/stream/2026-11-21T09:00:00`."""
    return arn.split("/")[1]


class Poller:
    """Feeds one function from one stream. moto's streams have one shard, so the records have one order."""

    def __init__(self, cloud: Cloud, backend: Any, mapping: Any) -> None:
        self._cloud, self._backend, self._mapping = cloud, backend, mapping
        self.table = _table(mapping.event_source_arn)
        # How many records of the stream are done. The stream keeps all its records, so this is an index too.
        self._done = len(self._records()) if mapping.starting_position == "LATEST" else 0

    def is_enabled(self) -> bool:
        """Whether the mapping exists and is enabled, and the cloud runs."""
        return bool(self._mapping.enabled) and is_wanted(self._cloud, self._backend, self._mapping)

    def left(self) -> int:
        """How many records the function has not done."""
        return len(self._records()) - self._done

    def run(self) -> None:
        """Feed the function until the mapping is deleted. As on AWS, a failed batch is tried before any later one."""
        # https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html (MaximumRetryAttempts, -1)
        failures = 0
        changed = self._cloud.part(Streams).changed
        while is_wanted(self._cloud, self._backend, self._mapping):
            # The look and the wait are one step under the condition: no record comes between them unnoticed.
            with changed:
                if not self.is_enabled() or not self.left():
                    changed.wait(POLL_S)
                    continue
            batch = self._records()[self._done : self._done + int(self._mapping.batch_size)]
            if self._succeeds(batch):
                self._done += len(batch)
                failures = 0
            else:
                failures += 1
                self._cloud.stopping.wait(min(POLL_S * 2 ** (failures - 1), LONGEST_WAIT_S))

    def _records(self) -> Sequence[Any]:
        from moto.dynamodb.models import dynamodb_backends

        table = dynamodb_backends[ACCOUNT][self._cloud.region].tables.get(self.table)
        shard = table.stream_shard if table else None
        return shard.items if shard else ()

    def _succeeds(self, batch: Sequence[Any]) -> bool:
        """Call the function with the batch. Returns whether it has succeeded."""
        from localcloud.awslambda.functions import function_of
        from localcloud.awslambda.pools import Functions

        functions: Functions = self._cloud.parts[Functions]
        event = {"Records": [self._event(record.to_json()) for record in batch]}
        try:
            function = function_of(self._cloud, self._mapping.function_arn)
            return not functions.invoke(function, json.dumps(event).encode()).error
        except Exception:
            if not self._cloud.stopping.is_set():
                LOG.exception("stream of %s for %s", self.table, self._mapping.function_name)
            return False

    def _event(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record as Lambda's poller writes it, with its time in seconds since the epoch."""
        changed = dict(record["dynamodb"])
        at = changed["ApproximateCreationDateTime"].replace(tzinfo=UTC)
        changed["ApproximateCreationDateTime"] = int(at.timestamp())
        place = {"awsRegion": self._cloud.region, "eventSourceARN": self._mapping.event_source_arn}
        return {**record, **place, "dynamodb": changed}
