"""The tables `state` and `audit` as the platform's stack makes them, and one of a consumer."""

from __future__ import annotations

from typing import Any


def create_table(client: Any, name: str, *, sorts: str = "S") -> None:
    """`client` is boto3's DynamoDB client; of numbers `sorts` is N."""
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": of} for key, of in (("pk", "S"), ("sk", sorts))],
        BillingMode="PAY_PER_REQUEST",
    )


def create_lookup(client: Any, name: str) -> None:
    """A table of a consumer, by the id of the decision."""
    keys, kinds = ([{"AttributeName": "id", of: kind}] for of, kind in (("KeyType", "HASH"), ("AttributeType", "S")))
    client.create_table(TableName=name, KeySchema=keys, AttributeDefinitions=kinds, BillingMode="PAY_PER_REQUEST")
