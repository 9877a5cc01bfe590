"""The audit table: added, never changed, in the order of time."""

from dataclasses import replace

import boto3
import pytest
from moto import mock_aws

from millrace.messages.audit import AuditEvent, ResourcesRemoved
from millrace.state.audit import Record, append, read
from millrace.timestamps import parse_utc
from tests.credentials import set_credentials
from tests.state_table import create_table

RECORD = Record(
    actor="teardown",
    execution_arn="arn:aws:states:eu-west-1:123456789012:execution:teardown:t-1",
    event=AuditEvent.TEARDOWN_STEP,
    as_of=parse_utc("1997-07-01T06:00:00Z"),
    cause="console",
    details=ResourcesRemoved(step="versions", found=("alarm a", "model b")),
)


@pytest.fixture
def table(monkeypatch):
    set_credentials(monkeypatch)
    with mock_aws():
        client = boto3.client("dynamodb", region_name="eu-west-1")
        create_table(client, "audit")
        yield client


def keys(client):
    return [item["sk"]["S"] for item in client.scan(TableName="audit")["Items"]]


def test_records_are_read_back_in_order(table):
    earlier = replace(RECORD, as_of=parse_utc("1997-06-30T23:59:59Z"))
    for record in (RECORD, earlier):
        append(table, table="audit", workload="w", record=record)
    append(table, table="audit", workload="other", record=RECORD)
    found = list(read(table, table="audit", workload="w"))
    assert found == [earlier, RECORD]
    assert [(one.run, one.key) for one in found] == [("t-1", key) for key in sorted(keys(table))[:2]]
    assert list(read(table, table="audit", workload="w", newest_first=True)) == found[::-1]


def test_details_of_another_class_are_refused(table):
    with pytest.raises(ValueError, match=r"retrain.refused: expected details RetrainingDecided, got ResourcesRemoved"):
        append(table, table="audit", workload="w", record=replace(RECORD, event=AuditEvent.RETRAIN_REFUSED))
    assert keys(table) == []
