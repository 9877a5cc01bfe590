"""`make adopt`: what a stage that was torn down has left, as CloudFormation imports it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from millrace.errors import ConfigurationError
from millrace.infra.resource_import import (
    deleted_tables,
    restore_table,
    retained_resources,
)
from millrace.infra.rules.assembly import Stack, read
from millrace.infra.settings import settings_for
from millrace.operations.trail import trail_logs
from millrace.state.audit_chain import AuditChain, ChainChange, ChangeKind
from tests.state_table import create_table

PLATFORM = settings_for("dev", account="123456789012", region="eu-west-1").platform
Clients = Callable[[str], Any]


@pytest.fixture
def stack(assemblies: dict[str, Path]) -> Stack:
    (found,) = (one for one in read(assemblies["dev"]) if one.name == "millrace-dev-platform")
    return found


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    with mock_aws():
        yield lambda service: boto3.client(service, "eu-west-1")


@pytest.fixture
def keys(client: Clients) -> dict[str, str]:
    """The two that are left: one by its alias, one by the lake that it encrypts."""
    made = {name: client("kms").create_key()["KeyMetadata"]["KeyId"] for name in ("Key", "SigningKey")}
    client("kms").create_alias(AliasName=PLATFORM.signing_key_alias, TargetKeyId=made["SigningKey"])
    place = {"LocationConstraint": "eu-west-1"}
    client("s3").create_bucket(Bucket=PLATFORM.bucket("lake"), CreateBucketConfiguration=place)
    arn = PLATFORM.arn("kms", f"key/{made['Key']}")
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": arn}}
    client("s3").put_bucket_encryption(
        Bucket=PLATFORM.bucket("lake"), ServerSideEncryptionConfiguration={"Rules": [rule]}
    )
    return made


def test_all_that_outlives_the_stack_is_found(client: Clients, keys: dict[str, str], stack: Stack) -> None:
    retained = retained_resources(client, PLATFORM, stack)
    assert len(json.dumps(retained.template)) < 51_200, "as a body; beyond it must lie in a bucket"
    found = {one["LogicalResourceId"]: next(iter(one["ResourceIdentifier"].values())) for one in retained.resources}
    assert {name: found[name] for name in keys} == keys
    buckets = {PLATFORM.bucket(one) for one in ("access-logs", "artefacts", "audit", "lake", "landing")}
    named = {PLATFORM.signing_key_alias, PLATFORM.state_table, PLATFORM.audit_table}
    assert set(found.values()) == {*keys.values(), *buckets, *named}


def test_without_a_key_nothing_is_adopted(client: Clients, stack: Stack) -> None:
    with pytest.raises(ConfigurationError, match=r"millrace-dev: retained: expected the key of millrace-dev-lake"):
        retained_resources(client, PLATFORM, stack)


def test_a_deleted_table_comes_back_with_what_no_backup_has(
    client: Clients, keys: dict[str, str], stack: Stack
) -> None:
    dynamodb, found = client("dynamodb"), retained_resources(client, PLATFORM, stack)
    create_table(dynamodb, PLATFORM.state_table)
    dynamodb.create_backup(TableName=PLATFORM.state_table, BackupName="of its deletion")
    dynamodb.delete_table(TableName=PLATFORM.state_table)
    backups = deleted_tables(dynamodb, found)
    assert sorted(map(bool, backups.values())) == [False, True], "the audit has none"
    place = {"LocationConstraint": "eu-west-1"}
    locked = {"CreateBucketConfiguration": place, "ObjectLockEnabledForBucket": True}
    client("s3").create_bucket(Bucket=PLATFORM.bucket("audit"), **locked)
    record = {"pk": {"S": "income"}, "sk": {"S": "2026-01-01T00:00:00Z#0"}}
    chain = AuditChain(client("s3"), bucket=PLATFORM.bucket("audit"), workload="income")
    for kind in (ChangeKind.ADDED, ChangeKind.REMOVED):  # what was taken out of the table comes back
        chain.extend([ChainChange(kind=kind, record=record, at=datetime.now(UTC), sequence=kind)])
    trail = {"Bucket": PLATFORM.bucket("audit"), "Key": f"{trail_logs(PLATFORM)}/a.json.gz", "Body": b""}
    client("s3").put_object(**trail, ChecksumAlgorithm="SHA256")
    for logical_id, backup in backups.items():
        restore_table(client, PLATFORM, found, logical_id, backup=backup["BackupArn"] if backup else None)
    assert dynamodb.scan(TableName=PLATFORM.audit_table)["Items"] == [record]
    audit = dynamodb.describe_table(TableName=PLATFORM.audit_table)["Table"]
    assert (audit["StreamSpecification"]["StreamViewType"], audit["DeletionProtectionEnabled"]) == ("NEW_IMAGE", True)
    assert audit["SSEDescription"]["KMSMasterKeyArn"].endswith(keys["Key"])
    outlived = dynamodb.describe_time_to_live(TableName=PLATFORM.state_table)["TimeToLiveDescription"]
    assert outlived["TimeToLiveStatus"] == "ENABLED"
    assert deleted_tables(dynamodb, found) == {}
