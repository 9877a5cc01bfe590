"""A query finds in a partition that is kept in order what moto finds by sorting the whole table."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from localcloud.dynamodb import streams
from localcloud.dynamodb.order import keep_items_in_order
from localcloud.kernel.patching import undone
from tests.localcloud.resources import Resources, allow
from tests.localcloud.waiting import until
from tests.state_table import create_table

TEXTS = ["", "a", "a#", "a#1", "a#10", "a#2", "b", "b#1", "é", "\U0001f600", "\U0010ffff", "z"]
CONDITIONS: list[tuple[str, int]] = [
    ("", 0),
    *((f" AND sk {sign} :a", 1) for sign in ("=", "<", "<=", ">", ">=")),
    (" AND begins_with(sk, :a)", 1),
    (" AND sk BETWEEN :a AND :b", 2),
]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)


def lived(*, kept_in_order: bool, kind: str) -> Iterator[Any]:
    """What the same calls find, one after the other."""
    with undone(), mock_aws():
        if kept_in_order:
            keep_items_in_order()
        client, chance = boto3.client("dynamodb"), random.Random(kind)
        keys = [{"S": text} for text in TEXTS[1:]] if kind == "S" else [{"N": f"{n / 2}"} for n in range(-9, 30, 3)]
        create_table(client, "t", sorts=kind)
        for _ in range(200):
            pk, key = {"S": chance.choice("xy")}, chance.choice(keys)
            if chance.random() < 0.3:
                client.delete_item(TableName="t", Key={"pk": pk, "sk": key})
            elif chance.random() < 0.2:
                other = chance.choice([one for one in keys if one != key])
                value = {"UpdateExpression": "SET n = :n", "ExpressionAttributeValues": {":n": {"S": f"{len(keys)}"}}}
                put = {"Item": {"pk": pk, "sk": key}, "ConditionExpression": "attribute_not_exists(pk)"}
                both = [{"Update": {"Key": {"pk": pk, "sk": other}, **value}}, {"Put": put}]
                try:
                    client.transact_write_items(
                        TransactItems=[{what: {"TableName": "t", **how} for what, how in one.items()} for one in both]
                    )
                except client.exceptions.TransactionCanceledException:
                    yield "cancelled"
            else:
                size = chance.choice([1, 1, 400_000])
                client.put_item(TableName="t", Item={"pk": pk, "sk": key, "n": {"S": "x" * size}})
            condition, bounds = chance.choice(CONDITIONS)
            if kind == "N" and "begins_with" in condition:
                continue
            given = sorted(chance.choices(keys, k=bounds), key=lambda one: float(one["N"]) if "N" in one else one["S"])
            values = {":pk": pk, **dict(zip((":a", ":b"), given, strict=False))}
            named: dict[str, Any] = {"Limit": chance.randint(1, 5)} if chance.random() < 0.6 else {}
            named |= {"ScanIndexForward": False} if chance.random() < 0.5 else {}
            pages = client.get_paginator("query").paginate(
                TableName="t", KeyConditionExpression=f"pk = :pk{condition}", ExpressionAttributeValues=values, **named
            )
            yield condition, given, named, [page["Items"] for page in pages if page["Items"]]


@pytest.mark.parametrize("kind", ["S", "N"])
@pytest.mark.usefixtures("environment")
def test_a_query_finds_what_moto_finds(kind: str) -> None:
    ours, theirs = (list(lived(kept_in_order=kept, kind=kind)) for kept in (True, False))
    assert ours == theirs
    assert any(len(one[-1]) > 1 for one in ours if one != "cancelled"), "some have several pages"


@pytest.mark.usefixtures("environment")
def test_a_query_looks_at_its_page_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with undone(), mock_aws():
        keep_items_in_order()
        from moto.dynamodb.models.dynamo_type import Item

        client, looked = boto3.client("dynamodb"), list[Any]()
        create_table(client, "t")
        for number in range(100):
            client.put_item(TableName="t", Item={"pk": {"S": "x"}, "sk": {"S": f"k{number}"}})
        size: Callable[[Any], int] = Item.size
        monkeypatch.setattr(Item, "size", lambda item: looked.append(item) or size(item))
        found = client.query(
            TableName="t",
            KeyConditionExpression="pk = :pk AND begins_with(sk, :a)",
            ExpressionAttributeValues={":pk": {"S": "x"}, ":a": {"S": "k1"}},
            Limit=2,
        )
        assert [one["sk"]["S"] for one in found["Items"]] == ["k1", "k10"]
        assert len({one.range_key.value for one in looked}) == 3, "two items and the one behind them"


SOURCE = """
import json
seen = []
def handler(event, context):
    records = event["Records"]
    keys = [record["dynamodb"]["Keys"]["pk"]["S"] for record in records]
    print("BATCH", json.dumps([f"{record['eventName']} {key}" for record, key in zip(records, keys)]))
    print("FIRST", json.dumps(records[0]))
    if "fails" in keys and keys not in seen:
        seen.append(keys)
        raise RuntimeError("fails")
"""


class Table:
    """A table with a stream, and a function to feed."""

    def __init__(self, aws: Resources, *, reads: bool = True) -> None:
        self.cloud, self._dynamodb, self._lambda = aws.cloud, aws.client("dynamodb"), aws.client("lambda")
        self.table = aws.table("pk", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
        described = self._dynamodb.describe_table(TableName=self.table)["Table"]
        self.stream = described["LatestStreamArn"]
        actions = [f"dynamodb:{one}" for one in streams.ACTIONS if reads or one != "GetRecords"]
        self.name = aws.function(SOURCE, allow(actions, self.stream), allow("dynamodb:ListStreams"))
        self.logged = partial(aws.printed, self.name)

    def feed(self, **settings: Any) -> str:
        made = self._lambda.create_event_source_mapping(
            EventSourceArn=self.stream, FunctionName=self.name, **{"StartingPosition": "TRIM_HORIZON", **settings}
        )
        return str(made["UUID"])

    def stop(self, mapping: str) -> None:
        self._lambda.delete_event_source_mapping(UUID=mapping)

    def put(self, *keys: str) -> None:
        for key in keys:
            self._dynamodb.put_item(TableName=self.table, Item={"pk": {"S": key}})

    def remove(self, key: str) -> None:
        self._dynamodb.delete_item(TableName=self.table, Key={"pk": {"S": key}})

    def batches(self) -> list[list[str]]:
        found: list[list[str]] = self.logged("BATCH")
        return found


@pytest.fixture
def table(aws: Resources) -> Table:
    return Table(aws)


def done(table: Table, records: int) -> bool:
    return sum(map(len, table.batches())) >= records and not table.cloud.part(streams.Streams).pending()


def test_records_come_in_order_from_the_first_on(table: Table) -> None:
    table.put("a", "b", "a")
    mapping = table.feed(BatchSize=2)
    until(lambda: done(table, 3))
    table.remove("a")
    until(lambda: done(table, 4))
    assert table.batches() == [["INSERT a", "INSERT b"], ["MODIFY a"], ["REMOVE a"]]
    first, last = table.logged("FIRST")[0], table.logged("FIRST")[-1]
    assert first["dynamodb"]["NewImage"] == {"pk": {"S": "a"}}
    assert "NewImage" not in last["dynamodb"]
    assert first["eventSourceARN"] == table.stream
    assert abs(first["dynamodb"]["ApproximateCreationDateTime"] - table.cloud.clock.timestamp()) < 3600
    table.stop(mapping)
    table.put("c")
    assert not table.cloud.part(streams.Streams).pending(), "nothing waits for a mapping that is gone"


def test_a_batch_that_fails_comes_again_before_any_other(table: Table) -> None:
    table.put("fails", "b")
    table.feed(BatchSize=1)
    until(lambda: done(table, 3))
    assert table.batches() == [["INSERT fails"], ["INSERT fails"], ["INSERT b"]]


def test_from_the_latest_on_what_was_there_is_left_out(table: Table) -> None:
    table.put("a")
    table.feed(StartingPosition="LATEST")
    table.put("b")
    until(lambda: done(table, 1))
    assert table.batches() == [["INSERT b"]]


def test_a_role_that_may_not_read_gets_no_mapping(aws: Resources) -> None:
    with pytest.raises(ClientError, match="does not have permissions to call GetRecords on DynamoDB"):
        Table(aws, reads=False).feed()


@pytest.mark.parametrize(
    ("name", "value"),
    [("BisectBatchOnFunctionError", True), ("MaximumRetryAttempts", 3), ("ParallelizationFactor", 2)],
)
def test_what_is_not_carried_out_is_refused_by_name(table: Table, name: str, value: Any) -> None:
    with pytest.raises(ClientError, match=f"{name} is not covered by the local cloud for DynamoDB"):
        table.feed(**{name: value})
