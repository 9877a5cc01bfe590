"""Which workloads are deployed, by their stacks, and which of them have no folder any more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from millrace.aws.workload_stacks import deployed_workloads, warnings_without_folder
from millrace.names import Platform
from tests.credentials import set_credentials

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
