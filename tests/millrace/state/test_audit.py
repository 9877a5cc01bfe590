"""The audit table: added, never changed, in the order of time."""

from __future__ import annotations

from dataclasses import replace

import boto3
import pytest
from moto import mock_aws

from millrace.state.audit import Record, append, read
from millrace.timestamps import moment

RECORD = Record(
    who="guard of x",
    what="retrain.refused",
    as_of=moment("1997-07-01T06:00:00Z"),
    cause="alarm-1",
    details={"b": 1, "a": 2},
)


@pytest.fixture
def table(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    with mock_aws():
        client = boto3.client("dynamodb", region_name="eu-west-1")
        client.create_table(
            TableName="audit",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


def keys(client):
    return [item["sk"]["S"] for item in client.scan(TableName="audit")["Items"]]


def test_a_retry_adds_nothing_and_another_record_does(table):
    first = append(table, table="audit", workload="w", record=RECORD)
    assert append(table, table="audit", workload="w", record=replace(RECORD, details={"a": 2, "b": 1})) == first
    assert keys(table) == [first]
    other = append(table, table="audit", workload="w", record=replace(RECORD, cause="alarm-2"))
    assert sorted(keys(table)) == sorted([first, other])


def test_keys_sort_by_the_moment(table):
    later = append(table, table="audit", workload="w", record=RECORD)
    earlier = append(table, table="audit", workload="w", record=replace(RECORD, as_of=moment("1997-06-30T23:59:59Z")))
    assert sorted([later, earlier]) == [earlier, later]


def test_a_record_says_who_what_when_and_why(table):
    append(table, table="audit", workload="w", record=RECORD)
    (item,) = table.scan(TableName="audit")["Items"]
    found = {name: value["S"] for name, value in item.items()}
    assert found["pk"] == "w"
    assert {name: found[name] for name in ("who", "what", "as_of", "cause", "details")} == {
        "who": "guard of x",
        "what": "retrain.refused",
        "as_of": "1997-07-01T06:00:00Z",
        "cause": "alarm-1",
        "details": '{"a": 2, "b": 1}',
    }


def test_records_are_read_back_in_order(table):
    earlier = replace(RECORD, as_of=moment("1997-06-30T23:59:59Z"))
    for record in (RECORD, earlier):
        append(table, table="audit", workload="w", record=record)
    append(table, table="audit", workload="other", record=RECORD)
    assert list(read(table, table="audit", workload="w")) == [earlier, RECORD]
