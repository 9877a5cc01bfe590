"""Conditional writes at once: one is made."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import pytest

from tests.localcloud.resources import Resources

WRITERS = 8


@pytest.fixture
def table(aws: Resources) -> str:
    return aws.table("pk")


@pytest.fixture(autouse=True)
def _others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moto reads the item, then makes the condition's expression, then writes: a pause in between."""
    model: Any = import_module("moto.dynamodb.models.table")
    make = model.get_filter_expression

    def late(*given: Any) -> Any:
        time.sleep(0.05)
        return make(*given)

    monkeypatch.setattr(model, "get_filter_expression", late)


def winners(dynamodb: Any, table: str) -> int:
    """How many of the writers that put the item where there is none could do so."""

    def put(writer: int) -> bool:
        item = {"pk": {"S": "lease"}, "holder": {"S": f"{writer}"}}
        try:
            dynamodb.put_item(TableName=table, Item=item, ConditionExpression="attribute_not_exists(pk)")
        except dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as threads:
        return sum(threads.map(put, range(WRITERS)))


def test_of_conditional_writes_at_once_one_is_made(client: Any, table: str) -> None:
    assert winners(client("dynamodb"), table) == 1


def test_a_transaction_and_reads_of_what_is_not_there_go_at_once(client: Any, aws: Resources) -> None:
    """With a sort key, as of the state table."""
    dynamodb, table = client("dynamodb"), aws.table("pk", "sk")

    def key(name: str) -> dict[str, Any]:
        return {"pk": {"S": name}, "sk": {"S": "lease"}}

    for at in range(300):
        dynamodb.put_item(TableName=table, Item=key(f"there {at}"))
    with ThreadPoolExecutor(WRITERS) as threads:
        reads = threads.map(lambda at: dynamodb.get_item(TableName=table, Key=key(f"missing {at}")), range(200))
        for at in range(20):
            dynamodb.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": key(f"new {at}")}}])
        assert not any("Item" in one for one in reads)
