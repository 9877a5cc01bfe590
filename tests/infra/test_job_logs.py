"""`make logs`: the groups that SageMaker shares among all jobs of an account."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from moto import mock_aws

from millrace.infra import job_logs
from millrace.names import JOB_LOGS
from tests.credentials import set_credentials


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Any:
    set_credentials(monkeypatch)
    with mock_aws():
        yield boto3.client("logs", "eu-west-1")


def groups(logs: Any) -> dict[str, tuple[int | None, str | None]]:
    found = logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker/")["logGroups"]
    return {one["logGroupName"]: (one.get("retentionInDays"), one.get("kmsKeyId")) for one in found}


@pytest.mark.parametrize("stages", [(30, 365), (365, 30)])
def test_they_have_the_longest_retention_of_all_stages_and_the_key_of_none(logs: Any, stages: tuple[int, int]) -> None:
    first = job_logs.settle(logs, retention_days=stages[0])
    assert first == [f"{group}: kept for {stages[0]} days" for group in JOB_LOGS]
    second = job_logs.settle(logs, retention_days=stages[1])
    assert bool(second) == (stages[1] > stages[0])
    assert groups(logs) == dict.fromkeys(JOB_LOGS, (365, None))


def test_a_group_of_sagemakers_own_gets_an_end_and_others_stay(logs: Any) -> None:
    logs.create_log_group(logGroupName="/aws/sagemaker/TrainingJobs", kmsKeyId="theirs")
    logs.create_log_group(logGroupName="/aws/sagemaker/TrainingJobs/other")
    job_logs.settle(logs, retention_days=30)
    assert groups(logs) == {
        **dict.fromkeys(JOB_LOGS, (30, None)),
        "/aws/sagemaker/TrainingJobs": (30, "theirs"),
        "/aws/sagemaker/TrainingJobs/other": (None, None),
    }
