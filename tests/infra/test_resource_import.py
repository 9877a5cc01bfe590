"""`make adopt`: what a stage that was torn down has left, as CloudFormation imports it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.session import get_session
from botocore.validate import validate_parameters
from moto import mock_aws

from millrace.errors import ConfigurationError
from millrace.infra.resource_import import (
    CHANGE_SET,
    KEPT,
    ResourceImport,
    adopt,
    deleted_tables,
    restore_table,
    retained_resources,
)
from millrace.infra.rules.assembly import Stack, read
from millrace.infra.settings import settings_for
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
    found = {
        one["LogicalResourceId"]: next(iter(one["ResourceIdentifier"].values()))
        for one in retained_resources(client, PLATFORM, stack).resources
    }
    assert {name: found[name] for name in keys} == keys
    buckets = {PLATFORM.bucket(one) for one in ("access-logs", "artefacts", "audit", "lake", "landing")}
    named = {PLATFORM.signing_key_alias, PLATFORM.state_table, PLATFORM.audit_table}
    assert set(found.values()) == {*keys.values(), *buckets, *named}


def references(value: Any) -> Iterator[str]:
    """The resources that a part of a template names."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield inner[0]
            elif key == "DependsOn":
                yield from [inner] if isinstance(inner, str) else inner
            else:
                yield from references(inner)
    for inner in value if isinstance(value, list) else ():
        yield from references(inner)


def test_the_template_stands_without_what_is_gone(client: Clients, keys: dict[str, str], stack: Stack) -> None:
    """CloudFormation takes nothing in an import but what is imported."""
    found = retained_resources(client, PLATFORM, stack)
    made = found.template["Resources"]
    assert set(made) == {one["LogicalResourceId"] for one in found.resources}
    assert set(references(made)) <= set(made)
    assert {one["DeletionPolicy"] for one in made.values()} == {KEPT}
    whole = stack.template["Resources"]
    assert any(set(references(whole[name])) - set(made) for name in made), "the control: some depend on what is gone"
    assert {name: one["Properties"] for name, one in made.items()} == {name: whole[name]["Properties"] for name in made}


def test_without_a_key_nothing_is_adopted(client: Clients, stack: Stack) -> None:
    with pytest.raises(ConfigurationError, match=r"millrace-dev: retained: expected the key of millrace-dev-lake"):
        retained_resources(client, PLATFORM, stack)


class CloudFormation:
    """Takes a change set that botocore takes, and waits for nothing."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._model = get_session().get_service_model("cloudformation")

    def create_change_set(self, **given: Any) -> None:
        self._take("CreateChangeSet", given)
        assert (given["ChangeSetType"], given["ChangeSetName"]) == ("IMPORT", CHANGE_SET)

    def execute_change_set(self, **given: Any) -> None:
        self._take("ExecuteChangeSet", given)

    def get_waiter(self, name: str) -> Any:
        assert name in boto3.client("cloudformation", "eu-west-1").waiter_names
        self.calls.append(name)
        return self

    def wait(self, **given: Any) -> None:
        assert given["StackName"] == "millrace-dev-platform"

    def _take(self, operation: str, given: dict[str, Any]) -> None:
        validate_parameters(given, self._model.operation_model(operation).input_shape)
        self.calls.append(operation)


def test_it_is_imported_before_the_deployment(client: Clients, keys: dict[str, str], stack: Stack) -> None:
    cloud, found = CloudFormation(), retained_resources(client, PLATFORM, stack)
    assert isinstance(found, ResourceImport)
    assert len(json.dumps(found.template)) < 51_200, "as a body; beyond it must lie in a bucket"
    adopt(cloud, found)
    assert cloud.calls == [
        "CreateChangeSet", "change_set_create_complete", "ExecuteChangeSet", "stack_import_complete",
    ]  # fmt: skip


def test_a_deleted_table_comes_back_with_what_no_backup_has(
    client: Clients, keys: dict[str, str], stack: Stack
) -> None:
    dynamodb, found = client("dynamodb"), retained_resources(client, PLATFORM, stack)
    with pytest.raises(ConfigurationError, match=r"millrace-dev-(state|audit): expected the table, or its backup"):
        deleted_tables(dynamodb, found)
    for name in (PLATFORM.state_table, PLATFORM.audit_table):
        create_table(dynamodb, name)
        dynamodb.create_backup(TableName=name, BackupName="of its deletion")
        dynamodb.delete_table(TableName=name)
    for logical_id, backup in deleted_tables(dynamodb, found).items():
        restore_table(dynamodb, found.template["Resources"][logical_id], backup)
    audit = dynamodb.describe_table(TableName=PLATFORM.audit_table)["Table"]
    assert (audit["StreamSpecification"]["StreamViewType"], audit["DeletionProtectionEnabled"]) == ("NEW_IMAGE", True)
    outlived = dynamodb.describe_time_to_live(TableName=PLATFORM.state_table)["TimeToLiveDescription"]
    assert outlived["TimeToLiveStatus"] == "ENABLED"
    assert deleted_tables(dynamodb, found) == {}
