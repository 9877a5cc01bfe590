"""`make logs`: the groups that SageMaker shares among all jobs of an account."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra import job_logs
from millrace.names import JOB_LOGS
from tests.credentials import set_credentials

KEY = "arn:aws:kms:eu-west-1:123456789012:key/0f1e2d3c-0000-4000-8000-000000000000"


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Any:
    set_credentials(monkeypatch)
    with mock_aws():
        yield boto3.client("logs", "eu-west-1")


def groups(logs: Any) -> dict[str, tuple[int | None, str | None]]:
    found = logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker/")["logGroups"]
    return {one["logGroupName"]: (one.get("retentionInDays"), one.get("kmsKeyId")) for one in found}


def test_they_are_made_once_with_an_end_and_under_the_key(logs: Any) -> None:
    said = job_logs.settle(logs, key_arn=KEY, retention_days=30)
    assert groups(logs) == dict.fromkeys(JOB_LOGS, (30, KEY))
    assert said[0] == f"/aws/sagemaker/TrainingJobs: made under {KEY}, kept for 30 days"
    assert job_logs.settle(logs, key_arn="another", retention_days=365) == []
    assert groups(logs) == dict.fromkeys(JOB_LOGS, (30, KEY)), "another stage leaves them as they are"


def test_what_somebody_has_set_stays(logs: Any) -> None:
    logs.create_log_group(logGroupName="/aws/sagemaker/TrainingJobs", kmsKeyId="theirs")
    logs.put_retention_policy(logGroupName="/aws/sagemaker/TrainingJobs", retentionInDays=7)
    logs.create_log_group(logGroupName="/aws/sagemaker/ProcessingJobs", kmsKeyId="theirs")
    logs.create_log_group(logGroupName="/aws/sagemaker/TrainingJobs/other", kmsKeyId="theirs")
    job_logs.settle(logs, key_arn=KEY, retention_days=30)
    assert groups(logs) == {
        "/aws/sagemaker/TrainingJobs": (7, "theirs"),
        "/aws/sagemaker/ProcessingJobs": (30, "theirs"),
        "/aws/sagemaker/TransformJobs": (30, KEY),
        "/aws/sagemaker/TrainingJobs/other": (None, "theirs"),
    }


class Groups:
    """Groups that SageMaker has made: moto cannot put one under a key later."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, object]] = []

    def get_paginator(self, _: str) -> Groups:
        return self

    def paginate(self, *, logGroupNamePrefix: str) -> list[dict[str, Any]]:
        return [{"logGroups": [{"logGroupName": logGroupNamePrefix}]}]

    def associate_kms_key(self, *, logGroupName: str, kmsKeyId: str) -> None:
        self.calls.append(("key", logGroupName, kmsKeyId))

    def put_retention_policy(self, *, logGroupName: str, retentionInDays: int) -> None:
        self.calls.append(("days", logGroupName, retentionInDays))


def test_a_group_of_sagemakers_own_gets_both() -> None:
    made = Groups()
    job_logs.settle(made, key_arn=KEY, retention_days=365)
    assert made.calls == [call for group in JOB_LOGS for call in (("key", group, KEY), ("days", group, 365))]
