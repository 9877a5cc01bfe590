"""A consumer that is a table of DynamoDB: each decision becomes one item under its id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal

from pydantic import Field

from millrace.consumers.consumer import Act, Client, Consumer, Document, Right
from millrace.names import Platform

AT_ONCE = 8
"""The most calls at the same time. boto3's client has ten connections."""


class ItemTable(Consumer):
    """A table of DynamoDB with the partition key `id` (text) and no sort key. Each decision is an item: its document.

    An older decision of the same id never replaces a newer one. Example: `lookup: {to: table, table: decisions}`"""

    to: Literal["table"]
    table: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{3,255}$")]
    """The name of a table of the stage's account and region."""

    def rights(self, platform: Platform) -> tuple[Right, ...]:
        put = Right(actions=("dynamodb:PutItem",), arn=platform.table_arn(self.table))
        return (put, *self.may_use_key("kms:Decrypt"))

    def connect(self, client: Client, platform: Platform) -> Act:
        dynamodb = client("dynamodb")

        def put(document: Document) -> None:
            try:
                dynamodb.put_item(
                    TableName=self.table,
                    Item=attribute(document)["M"],
                    ConditionExpression="attribute_not_exists(id) OR decided_at <= :decided_at",
                    ExpressionAttributeValues={":decided_at": {"S": document["decided_at"]}},
                )
            except dynamodb.exceptions.ConditionalCheckFailedException:
                return  # a newer decision of this id is there

        def act(documents: Sequence[Document]) -> None:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(put, documents))  # `list` raises the error of a call

        return act


def attribute(value: Any) -> dict[str, Any]:
    """The value as an attribute of DynamoDB, which holds a number as decimal digits: those of JSON."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | float):
        return {"N": repr(value)}
    if isinstance(value, Mapping):
        return {"M": {str(name): attribute(each) for name, each in value.items()}}
    return {"S": value} if isinstance(value, str) else {"L": [attribute(each) for each in value]}
