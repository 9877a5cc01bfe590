"""What DynamoDB keeps of a deleted table, and what a restored one has of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.localcloud.resources import Resources

KIND = {"BackupType": "SYSTEM"}


@pytest.fixture
def dynamodb(aws: Resources) -> Any:
    return aws.cloud.client("dynamodb")


def deleted(dynamodb: Any, table: str) -> list[dict[str, Any]]:
    dynamodb.put_item(TableName=table, Item={"pk": {"S": "a"}})
    dynamodb.delete_table(TableName=table)
    found: list[dict[str, Any]] = dynamodb.list_backups(TableName=table, **KIND)["BackupSummaries"]
    return found


def test_a_deleted_table_is_kept_for_35_days(aws: Resources, dynamodb: Any) -> None:
    table, is_on = aws.table("pk"), {"PointInTimeRecoveryEnabled": True}
    dynamodb.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=is_on)
    (backup,) = deleted(dynamodb, table)
    assert (backup["BackupName"], backup["BackupType"]) == (f"{table}$DeletedTableBackup", "SYSTEM")
    assert dynamodb.list_backups(TableName=table)["BackupSummaries"] == [], "of people's own, where none is named"
    dynamodb.restore_table_from_backup(TargetTableName=table, BackupArn=backup["BackupArn"])
    assert dynamodb.scan(TableName=table)["Items"] == [{"pk": {"S": "a"}}]
    assert deleted(dynamodb, table) == [backup], "a restored table has no recovery of its own"
    aws.cloud.clock.move(aws.cloud.clock.now() + timedelta(days=35))
    assert dynamodb.list_backups(TableName=table, **KIND)["BackupSummaries"] == []


def test_a_table_without_recovery_is_gone(aws: Resources, dynamodb: Any) -> None:
    assert deleted(dynamodb, aws.table("pk")) == []
