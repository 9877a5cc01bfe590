"""A workload with consumers: each decision acts where it is declared, once for each id, whatever fails on the way."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.console.local_cloud.local_cloud import PLATFORM, LocalCloud
from millrace.decisions.portion import send
from millrace.decisions.standing import CACHED_S
from millrace.decisions.store import read_days, stored_days
from millrace.names import WorkloadNames
from millrace.state.automation import Automation
from millrace.state.table import StateTable
from millrace.workload.load import load_workload
from tests.electricity import SAMPLE, changed_electricity
from tests.receiver import Receiver, listening

NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
KNOWN = 11_500
CLOCK = datetime.fromisoformat("1997-01-10T08:00:00+00:00")
REST_S = 300.0
CONSUMERS = """
policy:
  review_above: {{column: nswdemand, bound: 0.36}}
  held_out: 0.1
consumers:
  crm: {{to: webhook, url: "{url}", secret: crm/signing, stages: [local]}}
  reviews: {{to: queue, queue: review-decisions, actions: [review]}}
  lookup: {{to: table, table: decision-lookup}}
  broken: {{to: queue, queue: not-there}}
  later: {{to: queue, queue: of-prod, stages: [prod]}}
"""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with listening(Receiver("only the two of us know", down_every=10)) as found:
        yield found


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[LocalCloud]:
    with changed_electricity(
        tmp_path_factory.mktemp("consumers"), clock=CLOCK, added=CONSUMERS.format(url=receiver.url)
    ) as cloud:
        receiver.clock = lambda: cloud.now().timestamp()
        # What the targets' owners have made.
        cloud.client("secretsmanager").create_secret(Name="crm/signing", SecretString=receiver.secret)
        cloud.client("sqs").create_queue(QueueName="review-decisions")
        cloud.client("dynamodb").create_table(
            TableName="decision-lookup",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        drop(cloud, "training/known.parquet", pq.read_table(SAMPLE).slice(0, KNOWN))
        cloud.wait(timeout_s=REST_S)
        yield cloud


def drop(cloud: LocalCloud, key: str, rows: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    body = sink.getvalue().to_pybytes()
    cloud.client("s3").put_object(Bucket=PLATFORM.bucket("landing"), Key=f"electricity/{key}", Body=body)


def predict(cloud: LocalCloud, call: str, first: int, count: int) -> list[dict[str, Any]]:
    rows = pq.read_table(SAMPLE).slice(KNOWN + first, count).drop_columns(["class"]).to_pylist()
    payload = {"id": call, "rows": [row | {"timestamp": row["timestamp"].isoformat()} for row in rows]}
    answer = cloud.client("lambda").invoke(FunctionName=NAMES.prediction, Payload=json.dumps(payload))
    said: list[dict[str, Any]] = json.load(answer["Payload"])["predictions"]
    return said


def received(cloud: LocalCloud, queue: str) -> list[dict[str, Any]]:
    """The documents in a queue of the account's."""
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    found: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_each_decision_acts_once_where_it_is_wanted(cloud: LocalCloud, receiver: Receiver) -> None:
    said = [one for call in range(12) for one in predict(cloud, f"call-{call}", 20 * call, 20)]
    assert not (fallback := [one for one in said if one["action"] == "fallback"]), fallback[:2]
    wanted = {action: {one["id"] for one in said if one["action"] == action} for action in ("automated", "review")}
    assert min(map(len, wanted.values())) > 20
    s3, lake = cloud.client("s3"), PLATFORM.bucket("lake")

    def stored() -> dict[str, Any]:
        days = list(stored_days(s3, lake, NAMES.workload))
        return {one.id: one for one in read_days(s3, lake, NAMES.workload, days).decisions}

    moving = until_only_waits_for(cloud, NAMES.queue("consumer-broken"))
    assert moving, "the broken consumer's decisions wait"
    assert receiver.acted.keys() == wanted["automated"]
    assert receiver.refused == 0
    by_id = {one["id"]: one for one in said}
    kept = stored()
    for name, document in receiver.acted.items():
        assert document["answer"]["value"] == by_id[name]["value"] == kept[name].value
        assert (document["action"], document["model_version"]) == ("automated", by_id[name]["model_version"])
    documents = received(cloud, "review-decisions")
    assert sorted(one["id"] for one in documents) == sorted(wanted["review"]), "the queue is up, so each came once"
    hidden = {one["id"] for one in documents if one["answer"]["value"] is None}
    assert hidden == {one["id"] for one in said if one["reason"] == "held_out"}
    assert hidden


def until_only_waits_for(cloud: LocalCloud, queue: str) -> list[str]:
    """What still moves, once it is this queue alone; empty if nothing does."""
    while moving := cloud.running():
        if all(queue in line for line in moving):
            return moving
    return []


def test_a_consumer_that_is_down_waits_alone_and_gets_all_when_it_is_back(cloud: LocalCloud) -> None:
    """Its queue is made only now: nobody has sent anything again by hand."""
    cloud.client("sqs").create_queue(QueueName="not-there")
    cloud.wait(timeout_s=REST_S)
    s3, lake = cloud.client("s3"), PLATFORM.bucket("lake")
    kept = read_days(s3, lake, NAMES.workload, list(stored_days(s3, lake, NAMES.workload))).decisions
    automated = {one.id for one in kept if one.action == "automated"}
    assert {one["id"] for one in received(cloud, "not-there")} == automated


def test_in_a_pause_what_waits_stays_and_goes_on_after_it(cloud: LocalCloud, receiver: Receiver) -> None:
    """Decided before the pause, and not taken yet."""
    s3, lake = cloud.client("s3"), PLATFORM.bucket("lake")
    kept = read_days(s3, lake, NAMES.workload, list(stored_days(s3, lake, NAMES.workload))).decisions
    acts = next(one for one in kept if one.action == "automated")
    late = [replace(acts, id=f"late-{number}") for number in range(3)]
    state = StateTable(cloud.client("dynamodb"), NAMES)
    Automation(is_paused=True, reason="complaints", by="ann", since=CLOCK).put(state)
    time.sleep(CACHED_S)
    declared = load_workload(Path(os.environ["MILLRACE_WORKLOADS"]) / "electricity").consumers
    send(cloud.client("sqs"), NAMES, {name: declared[name] for name in ("crm", "lookup")}, late)
    time.sleep(CACHED_S)
    assert not {one.id for one in late} & receiver.acted.keys()
    Automation(by="ann", since=CLOCK).put(state)
    cloud.wait(timeout_s=REST_S)
    assert {one.id for one in late} <= receiver.acted.keys() & looked_up(cloud).keys()


def looked_up(cloud: LocalCloud) -> dict[str, Any]:
    pages = cloud.client("dynamodb").get_paginator("scan").paginate(TableName="decision-lookup")
    return {item["id"]["S"]: item for page in pages for item in page["Items"]}


def test_the_rows_of_a_file_act_as_requests_do(cloud: LocalCloud, receiver: Receiver) -> None:
    """More rows than a message refers to: each message is read by each consumer's own function."""
    known, rows = set(receiver.acted), pq.read_table(SAMPLE).slice(KNOWN, 5000).drop_columns(["class"])
    drop(cloud, "scoring/asked.parquet", rows)
    cloud.wait(timeout_s=REST_S)
    s3, lake = cloud.client("s3"), PLATFORM.bucket("lake")
    days = list(stored_days(s3, lake, NAMES.workload))
    found = [one for one in read_days(s3, lake, NAMES.workload, days).decisions if one.source == "batch"]
    assert len(found) == len(rows)
    automated = {one.id: one for one in found if one.action == "automated"}
    assert receiver.acted.keys() - known == automated.keys()
    items = looked_up(cloud)
    assert items.keys() == automated.keys() | known
    assert all(items[name]["answer"]["M"]["value"] == {"N": str(one.value)} for name, one in automated.items())
    review = {one.id for one in found if one.action == "review"}
    assert {one["id"] for one in received(cloud, "review-decisions")} == review
