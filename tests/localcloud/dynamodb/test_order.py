"""A query finds in a partition that is kept in order what moto finds by sorting the whole table."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from localcloud.dynamodb.order import keep_items_in_order
from localcloud.kernel.patching import undone

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
        client.create_table(
            TableName="t",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": kind},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
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
        create(client)
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


def create(client: Any) -> None:
    client.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    for number in range(100):
        client.put_item(TableName="t", Item={"pk": {"S": "x"}, "sk": {"S": f"k{number}"}})
