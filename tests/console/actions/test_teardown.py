"""What is said and run at the end of an environment; the whole of it happens in tests/end_to_end/test_teardown.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from console.actions.teardown import destroy_command, left, teardown, teardown_machines
from console.environment import Environment
from millrace.errors import RunError
from millrace.names import Platform

PLATFORM = Platform(stage="dev", account="123456789012", region="eu-west-1")
COMMAND = "cdk destroy --all --force -c stage=dev -c account=123456789012 -c region=eu-west-1"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", PLATFORM.region)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield Environment(platform=PLATFORM, client=client)


def client(service: str, *, has_server: bool = False) -> Any:
    """moto knows no MLflow servers: that one answer is given here."""
    made = boto3.client(service)
    if service == "sagemaker":
        stubber = Stubber(made)
        name = {"TrackingServerName": PLATFORM.prefix}
        if has_server:
            stubber.add_response("describe_mlflow_tracking_server", name, name)
        else:
            stubber.add_client_error("describe_mlflow_tracking_server", "ResourceNotFound", expected_params=name)
        stubber.activate()
    return made


@pytest.fixture
def cdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `cdk` that writes down what it was asked and ends as `status` says."""
    program = tmp_path / "cdk"
    program.write_text(f'#!/bin/sh\necho "cdk $*" >> {tmp_path}/asked\nexit $(cat {tmp_path}/status)\n')
    program.chmod(0o755)
    (tmp_path / "status").write_text("0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


def make_machine(name: str) -> None:
    role = "arn:aws:iam::123456789012:role/r"
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    boto3.client("stepfunctions").create_state_machine(name=name, definition=definition, roleArn=role)


def test_only_the_stage_s_own_teardown_machines_are_found(environment: Environment) -> None:
    for name in ("millrace-dev-income-teardown", "millrace-prod-income-teardown", "millrace-dev-income-train"):
        make_machine(name)
    assert [arn.rsplit(":", 1)[1] for arn in teardown_machines(environment)] == ["millrace-dev-income-teardown"]


def test_where_nothing_is_deployed_it_says_so_and_tells_the_command(environment: Environment) -> None:
    lines: list[str] = []
    teardown(environment, said=lines.append)
    assert lines == [
        "millrace-dev: no teardown machine is deployed: its stacks do not exist",
        f"to destroy the stacks: {COMMAND}",
    ]


def test_it_destroys_only_when_it_is_told_to(environment: Environment, cdk: Path) -> None:
    teardown(environment, said=lambda _: None)
    assert not (cdk / "asked").exists()
    teardown(environment, said=lambda _: None, destroys=True)
    assert (cdk / "asked").read_text().splitlines() == [COMMAND]
    assert " ".join(destroy_command(PLATFORM)) == COMMAND


def test_a_failed_destruction_is_an_error(environment: Environment, cdk: Path) -> None:
    (cdk / "status").write_text("1")
    with pytest.raises(RunError, match="expected exit status 0, got 1"):
        teardown(environment, said=lambda _: None, destroys=True)


def test_what_is_left_is_what_is_there(environment: Environment) -> None:
    assert left(environment) == []
    s3, bucket = boto3.client("s3"), PLATFORM.bucket("lake")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": PLATFORM.region})
    key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:aws:kms:eu-west-1:123456789012:key/k"}
    rule = {"Rules": [{"ApplyServerSideEncryptionByDefault": key}]}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rule)
    assert [one.what for one in left(environment)] == [
        f"bucket {bucket}",
        "customer key arn:aws:kms:eu-west-1:123456789012:key/k",
    ]


def test_a_tracking_server_is_told_since_no_template_takes_it_away(environment: Environment) -> None:
    (one,) = left(Environment(platform=PLATFORM, client=partial(client, has_server=True)))
    assert one.what == "MLflow server millrace-dev"
    assert "delete-mlflow-tracking-server --tracking-server-name millrace-dev" in one.costs
