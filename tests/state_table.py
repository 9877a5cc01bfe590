"""The tables `state` and `audit` as the platform's stack makes them."""

from __future__ import annotations

from typing import Any


def create_table(client: Any, name: str) -> None:
    """`client` is boto3's DynamoDB client."""
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
