"""Drops that come all at once: each has its effect, none becomes a dead letter: `python -m benchmarks.burst`.

10,000 on a simulated clock, of which every tenth event comes twice: the intake's own code and the slots' own
conditions, between a queue, a table and a machine in memory; once as they go together, once each alone.
`benchmarks.small_drops` is for real.
"""

from __future__ import annotations

import heapq
import importlib
import json
import os
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from benchmarks import conclude
from millrace.messages.ingest import SMALL_BYTES
from millrace.state.claims import Claims
from millrace.state.holdings import Slots
from millrace.state.table import StateTable
from tests.functions.cold_start import CONTEXT, NAMES, variables

SIMULATED, SEED = 10_000, 7
FASTER = 5.0
"""At least so many times sooner than each alone the simulated burst is over."""
EXECUTION_S, FURTHER_S = (5.0, 25.0), 0.5
"""Of a simulated execution, at least and at most; and for each drop beyond its first."""
VISIBILITY_S, RECEIVES, BATCH, WINDOW_S = 180, 20, 25, 5
"""Of the queue of drops: `infra/stacks/ingestion.py`."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a burst."""

    effects: int
    """Drops that an execution which succeeded has worked on."""
    repeated: int
    """Executions beyond the first of a drop."""
    executions: int
    dead: int
    """Dead letters."""
    held: int
    """Slots that are held at the end."""
    hours: float
    """From the first drop to the last effect, by the clock that is moved."""


class Refused(Exception):  # noqa: N818 - DynamoDB's word is an exception, too
    """A condition did not hold."""

    def __init__(self, reasons: Sequence[str] = ()) -> None:
        super().__init__(*reasons)
        self.response = {"CancellationReasons": [{"Code": reason} for reason in reasons]}


class AlreadyExists(Exception):  # noqa: N818 - as above
    """An execution of this name was started before."""


@dataclass(kw_only=True)
class Cloud:
    """What the intake calls, in memory and on a clock of its own."""

    now_s: float = 0.0
    waiting: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)
    """A heap of messages by the time at which they can be received."""
    running: list[tuple[float, str]] = field(default_factory=list)
    """A heap of executions by their end."""
    drops: dict[str, list[str]] = field(default_factory=dict)
    """The ids of the drops by execution."""
    begun: dict[str, datetime] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Claims, by sort key."""
    holders: dict[str, set[str]] = field(default_factory=dict)
    """By the sort key of their pool."""
    sent: int = 0
    dead: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))

    def send(self, record: dict[str, Any], *, after_s: float) -> None:
        self.sent += 1
        heapq.heappush(self.waiting, (self.now_s + after_s, self.sent, record))

    def send_message(
        self, *, QueueUrl: str, MessageBody: str, MessageAttributes: Mapping[str, Any], DelaySeconds: int = 0
    ) -> None:
        """Of SQS; the queue's other end is `receive`."""
        if QueueUrl.endswith("-dead"):
            self.dead += 1
            return
        attributes = {
            name: {"stringValue": given["StringValue"], "dataType": given["DataType"]}
            for name, given in MessageAttributes.items()
        }
        self.send(record_of(MessageBody, attributes), after_s=DelaySeconds)

    def receive(self) -> list[dict[str, Any]]:
        """The messages that come within the window, as Lambda brings them; what came too often is dead."""
        batch: list[dict[str, Any]] = []
        until_s = self.now_s + WINDOW_S
        while self.waiting and self.waiting[0][0] <= until_s and len(batch) < BATCH:
            self.now_s = max(self.now_s, self.waiting[0][0])
            record = heapq.heappop(self.waiting)[2]
            receives = int(record["attributes"]["ApproximateReceiveCount"]) + 1
            if receives > RECEIVES:
                self.dead += 1
                continue
            record["attributes"] |= {
                "ApproximateReceiveCount": str(receives),
                "SentTimestamp": f"{1000 * self.now_s:.0f}",
            }
            batch.append(record | {"messageId": str(len(batch))})
        if batch and len(batch) < BATCH:
            self.now_s = until_s
        return batch

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> None:  # noqa: A002 - AWS's name
        """Of Step Functions."""
        if name in self.drops:
            raise AlreadyExists
        self.drops[name] = [each["drop_id"] for each in json.loads(input)["detail"]["objects"]]
        self.begun[name] = datetime.fromtimestamp(self.now_s, UTC)
        lasts_s = self.chance.uniform(*EXECUTION_S) + FURTHER_S * (len(self.drops[name]) - 1)
        heapq.heappush(self.running, (self.now_s + lasts_s, name))

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:
        name = executionArn.rpartition(":")[2]
        return {"status": "SUCCEEDED" if name in self.ended else "RUNNING", "startDate": self.begun[name]}

    def transact_write_items(self, *, TransactItems: list[Any]) -> None:
        """Of DynamoDB: the claims of a group, which are new."""
        items = {one["Put"]["Item"]["sk"]["S"]: one["Put"]["Item"] for one in TransactItems}
        reasons = ["ConditionalCheckFailed" if sort in self.items else "None" for sort in items]
        if set(reasons) != {"None"}:
            raise Refused(reasons)
        self.items |= items

    def get_item(self, *, Key: Any, **_: Any) -> dict[str, Any]:
        found = self.items.get(Key["sk"]["S"])
        return {"Item": found} if found else {}

    def get_paginator(self, operation: str) -> Cloud:
        assert operation == "query"
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        """Of DynamoDB: every pool of slots."""
        pools = {key: held for key, held in self.holders.items() if held}
        return [{"Items": [{"sk": {"S": key}, "holders": {"SS": sorted(held)}} for key, held in pools.items()]}]

    def update_item(
        self, *, Key: Any, UpdateExpression: str, ConditionExpression: str, ExpressionAttributeValues: Any, **_: Any
    ) -> None:
        """Of DynamoDB: the two updates of `Slots`, whose conditions moto and its tests know in full."""
        given, held = ExpressionAttributeValues, self.holders.setdefault(Key["sk"]["S"], set())
        (holder,) = given[":holder"]["SS"]
        if UpdateExpression.startswith("ADD "):
            assert "size(holders) < :limit OR contains" in ConditionExpression
            if len(held) >= int(given[":limit"]["N"]) and holder not in held:
                raise Refused
            held.add(holder)
        elif holder in held:
            held.remove(holder)
        else:
            raise Refused


def record_of(body: str, attributes: dict[str, Any]) -> dict[str, Any]:
    received = {"attributes": {"ApproximateReceiveCount": "0"}, "messageAttributes": attributes}
    return {"body": body, "receiptHandle": "r", "eventSource": "aws:sqs", **received}


def simulate(drops: int, *, together: bool = True) -> Outcome:
    """The burst on the simulated clock; where they do not go `together`, none counts as small."""
    cloud = Cloud()
    intake, slots = intake_of(cloud)
    with patch("millrace.functions.intake.arrivals.SMALL_BYTES", SMALL_BYTES if together else 0):
        live_through(cloud, intake, slots, drops)
    worked_on = Counter(drop for name in cloud.ended for drop in cloud.drops[name])
    return Outcome(
        effects=len(worked_on),
        repeated=worked_on.total() - len(worked_on),
        executions=len(cloud.drops),
        dead=cloud.dead,
        held=sum(map(len, cloud.holders.values())),
        hours=cloud.now_s / 3600,
    )


def live_through(cloud: Cloud, intake: Any, slots: Slots, drops: int) -> None:
    """Until no message waits and no execution runs."""
    for number in range(drops):
        body = event_of(number)
        for _ in range(2 if number % 10 == 0 else 1):
            cloud.send(record_of(body, {}), after_s=cloud.chance.uniform(0, 1))
    while cloud.waiting or cloud.running:
        due = [heap[0][0] for heap in (cloud.waiting, cloud.running) if heap]
        cloud.now_s = max(cloud.now_s, min(due))
        while cloud.running and cloud.running[0][0] <= cloud.now_s:
            name = heapq.heappop(cloud.running)[1]
            cloud.ended.add(name)
            slots.free(NAMES.execution_arn("ingest", name))
        if cloud.waiting and cloud.waiting[0][0] <= cloud.now_s and (batch := cloud.receive()):
            failed = {one["itemIdentifier"] for one in intake.handler({"Records": batch}, CONTEXT)["batchItemFailures"]}
            for record in batch:
                if record["messageId"] in failed:
                    cloud.send(record, after_s=VISIBILITY_S)


def intake_of(cloud: Cloud) -> tuple[Any, Slots]:
    """The handler's module as at a cold start, with the cloud in place of its clients; and the slots that it takes."""
    queues = {"MILLRACE_QUEUE_URL": "https://sqs/drops", "MILLRACE_DEAD_QUEUE_URL": "https://sqs/drops-dead"}
    os.environ |= variables(**queues, POWERTOOLS_LOG_LEVEL="CRITICAL")
    module: Any = importlib.import_module("millrace.functions.intake.handler")
    client = SimpleNamespace(
        update_item=cloud.update_item,
        transact_write_items=cloud.transact_write_items,
        get_item=cloud.get_item,
        get_paginator=cloud.get_paginator,
        exceptions=SimpleNamespace(ConditionalCheckFailedException=Refused, TransactionCanceledException=Refused),
    )
    states = SimpleNamespace(
        start_execution=cloud.start_execution,
        describe_execution=cloud.describe_execution,
        exceptions=SimpleNamespace(ExecutionAlreadyExists=AlreadyExists),
    )
    table, starts = StateTable(client, NAMES), module.EXECUTIONS
    module.SQS, starts.slots, starts.claims, starts.states = cloud, Slots(table), Claims(table), states
    return module, starts.slots


def event_of(number: int) -> str:
    """S3's event of the drop with this number, by EventBridge."""
    document = json.loads((Path(__file__).resolve().parents[1] / "events" / "intake.json").read_text())
    body = json.loads(document["Records"][0]["body"])
    body["detail"]["object"] |= {"key": f"{NAMES.workload}/training/{number}.parquet", "version-id": str(number)}
    return json.dumps(body | {"id": str(number)})


def verdict(*, simulated: Outcome, alone: Outcome) -> dict[str, Any]:
    """The result: every drop has one effect, in both bursts; no dead letter, no slot that is held still; and the drops
    that go together are through sooner than each alone."""
    expected, faster = (SIMULATED, 0, 0, 0), alone.hours / simulated.hours
    whole = all((one.effects, one.repeated, one.dead, one.held) == expected for one in (simulated, alone))
    figures = {"figure": simulated.effects, "unit": f"effects of {SIMULATED} drops", "bar": SIMULATED}
    executions = {"executions_per_drop": round(simulated.executions / SIMULATED, 3), "dead": simulated.dead}
    hours = {"hours": round(simulated.hours, 2), "hours_alone": round(alone.hours, 2), "times_faster": round(faster, 1)}
    return {"name": "burst", **figures, **executions, **hours, "holds": whole and faster >= FASTER}


def main() -> None:
    """Print what became of the bursts; exits with 1 where a drop has no effect or two or became a dead letter, or where
    those that go together are not so much faster."""
    simulated, alone = simulate(SIMULATED), simulate(SIMULATED, together=False)
    print(f"together: {simulated}\neach alone: {alone}", flush=True)
    conclude(verdict(simulated=simulated, alone=alone))


if __name__ == "__main__":
    main()
