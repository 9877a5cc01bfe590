"""What is said and run at the end of an environment; the whole of it happens in tests/end_to_end/test_teardown.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from millrace.console.actions.teardown import destroy_command, left, teardown, teardown_machines, unprotect
from millrace.console.environment import Environment
from millrace.console.local_cloud import lifecycle
from millrace.errors import RunError
from millrace.names import JOB_LOGS, WorkloadNames
from tests.console.conftest import DEV, make_machines

KEY = "arn:aws:kms:eu-west-1:123456789012:key/k"
COMMAND = "cdk destroy --all --force -c stage=dev -c account=123456789012 -c region=eu-west-1"


@pytest.fixture
def cdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `cdk` that writes down what it was asked and ends as `status` says."""
    program = tmp_path / "cdk"
    program.write_text(f'#!/bin/sh\necho "cdk $*" >> {tmp_path}/asked\nexit $(cat {tmp_path}/status)\n')
    program.chmod(0o755)
    (tmp_path / "status").write_text("0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(lifecycle, "CDK", ())
    return tmp_path


def test_only_the_stage_s_own_teardown_machines_are_found(environment: Environment) -> None:
    for stage, machine in (("dev", "teardown"), ("prod", "teardown"), ("dev", "train")):
        make_machines(environment, WorkloadNames(platform=replace(DEV, stage=stage), workload="income"), machine)
    assert [arn.rsplit(":", 1)[1] for arn in teardown_machines(environment)] == ["millrace-dev-income-teardown"]


def test_it_destroys_only_when_it_is_told_to(environment: Environment, cdk: Path) -> None:
    teardown(environment, said=lambda _: None)
    assert not (cdk / "asked").exists()
    teardown(environment, said=lambda _: None, destroys=True)
    assert (cdk / "asked").read_text().splitlines() == [COMMAND]
    assert " ".join(destroy_command(DEV)) == COMMAND


def test_a_failed_destruction_is_an_error(environment: Environment, cdk: Path) -> None:
    (cdk / "status").write_text("1")
    with pytest.raises(RunError, match="expected exit status 0, got 1"):
        teardown(environment, said=lambda _: None, destroys=True)


def make_bucket() -> str:
    """The name of the lake, under the key."""
    s3, bucket = boto3.client("s3"), DEV.bucket("lake")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": DEV.region})
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    return bucket


def test_a_key_that_job_logs_of_the_account_carry_is_not_named(environment: Environment) -> None:
    make_bucket()
    assert KEY in str(left(environment))
    boto3.client("logs").create_log_group(logGroupName=JOB_LOGS[0], kmsKeyId=KEY)
    assert KEY not in str(left(environment))


class Protected:
    """CloudFormation with these stacks, all of them protected: moto cannot lift a protection."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.lifted: list[str] = []

    def get_paginator(self, _: str) -> Protected:
        return self

    def paginate(self) -> list[dict[str, list[dict[str, object]]]]:
        return [{"Stacks": [{"StackName": name, "EnableTerminationProtection": True} for name in self.names]}]

    def update_termination_protection(self, *, StackName: str, EnableTerminationProtection: bool) -> None:
        assert not EnableTerminationProtection
        self.lifted.append(StackName)


def test_protection_is_taken_from_the_stages_own_stacks() -> None:
    stacks = Protected("millrace-dev-income-train", "millrace-prod-income-train")
    unprotect(Environment(platform=DEV, client=lambda _: stacks), lambda name: name.startswith(f"{DEV.prefix}-"))
    assert stacks.lifted == ["millrace-dev-income-train"]
