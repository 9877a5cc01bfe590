"""What goes and what stays where several of one kind are deleted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from millrace.aws.deletion import delete_each, is_not_found
from millrace.aws.objects import folders_below, keys_below, split_uri
from millrace.aws.workload_stacks import deployed_workloads, warnings_without_folder
from millrace.errors import ConfigurationError
from millrace.names import Platform
from tests.credentials import set_credentials


def refused(message: str) -> Callable[..., None]:
    def call(*, Name: str) -> None:
        raise ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "DeleteModel")

    return call


def test_what_is_gone_already_counts_as_deleted() -> None:
    call = refused('Could not find model "a".')
    assert delete_each("model", ["a"], call, parameter="Name", at_most=2) == ["model a"]


def test_a_refusal_is_raised() -> None:
    with pytest.raises(ClientError, match="not authorized"):
        delete_each("model", ["a"], refused("You are not authorized"), parameter="Name", at_most=2)


@pytest.mark.parametrize(
    ("message", "absent"),
    [
        ('Could not find endpoint "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/e".', True),
        ('Cannot update in-progress endpoint "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/e".', False),
        ("User is not authorized to perform: sagemaker:DescribeEndpoint", False),
    ],
)
def test_only_what_was_not_found_is_absent(message: str, absent: bool) -> None:
    answer = {"Error": {"Code": "ValidationException", "Message": message}}
    assert is_not_found(ClientError(answer, "DescribeEndpoint")) is absent


@pytest.mark.parametrize("uri", ["bucket/key", "s3://bucket", "s3://bucket/", "s3:///key", "http://bucket/key", ""])
def test_anything_else_is_refused(uri):
    with pytest.raises(ConfigurationError, match="expected s3://<bucket>/<key>"):
        split_uri(uri)


def test_keys_and_folders_below_a_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    set_credentials(monkeypatch)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        for key in ("w/a/1", "w/a/2", "w/b/3", "w/c", "v/d"):
            client.put_object(Bucket="bucket", Key=key, Body=b"")
        assert list(keys_below(client, "bucket", "w/")) == ["w/a/1", "w/a/2", "w/b/3", "w/c"]
        assert list(folders_below(client, "bucket", "w/")) == ["a/", "b/"]
        assert list(keys_below(client, "bucket", "x")) == []


DEV = Platform(stage="dev", account="123456789012", region="eu-west-1")
LOCAL = Platform(stage="local", account="123456789012", region="eu-west-1")
TEMPLATE = json.dumps({"Resources": {"queue": {"Type": "AWS::SQS::Queue"}}})


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """With two workloads at `dev`, one at `local`, and what is no workload's."""
    set_credentials(monkeypatch)
    workloads = ("dev-income-teardown", "dev-income-training", "dev-air-quality-training", "local-delay-release")
    with mock_aws():
        client = boto3.client("cloudformation")
        for name in (*workloads, "dev-platform", "dev-audit", "dev-training", "dev-gone-dashboards"):
            client.create_stack(StackName=f"millrace-{name}", TemplateBody=TEMPLATE)
        client.create_stack(StackName="income-training", TemplateBody=TEMPLATE)
        yield client


def test_a_workload_is_deployed_if_one_of_its_stacks_is_there(cloudformation: Any) -> None:
    assert deployed_workloads(cloudformation, DEV) == ["air_quality", "income"]
    assert deployed_workloads(cloudformation, LOCAL) == ["delay"]


def test_a_deployed_workload_without_a_folder_is_reported_with_the_remedy(cloudformation: Any, tmp_path: Path) -> None:
    (tmp_path / "income").mkdir()
    (tmp_path / "income" / "workload.yaml").touch()
    (line,) = warnings_without_folder(cloudformation, DEV, tmp_path)
    assert line.startswith(f"air_quality is deployed and has no folder in {tmp_path}/: ")
    assert "`millrace down --workload air_quality --stage dev`" in line
    (line,) = warnings_without_folder(cloudformation, LOCAL, tmp_path)
    assert line.endswith("`millrace down --workload delay` removes it")
