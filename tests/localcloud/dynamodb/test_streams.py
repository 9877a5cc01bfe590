"""Streams of tables as event sources: every record in order, and none passed over for an error."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.dynamodb import streams
from tests.localcloud.resources import Resources, allow
from tests.localcloud.waiting import until

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
