"""What drops wait for that no machine takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from console.local_cloud.waiting_drops import explain
from millrace.names import WorkloadNames
from millrace.state.pointers import Pointers, ReleasePointers, Version
from millrace.state.table import StateTable
from tests.functions.cold_start import NAMES, set_variables
from tests.infra.local.waiting import until
from tests.state_table import create_table

DROPS = f"2 messages in {NAMES.queue('drops')}"
OTHER = WorkloadNames(platform=NAMES.platform, workload="air_quality")
FAILS = {"StartAt": "Fail", "States": {"Fail": {"Type": "Fail", "Error": "SnapshotError", "Cause": "no rows"}}}


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The state table, and a machine `train` of each workload."""
    set_variables(monkeypatch)
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        create_table(boto3.client("dynamodb"), NAMES.platform.state_table)
        for names in (NAMES, OTHER):
            boto3.client("stepfunctions").create_state_machine(
                name=names.machine("train"),
                definition=json.dumps(FAILS),
                roleArn="arn:aws:iam::123456789012:role/x",
            )
        yield StateTable(boto3.client("dynamodb"), NAMES)


def fail_a_training() -> None:
    states = boto3.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=NAMES.machine_arn("train"), name="t1")["executionArn"]
    until(lambda: states.describe_execution(executionArn=arn)["status"] == "FAILED")


def told(*moving: str) -> list[str]:
    return explain(boto3.client, NAMES.platform, moving)


def test_a_workload_without_a_model_is_named_with_its_failed_training(state: Any) -> None:
    waits = f"{NAMES.queue('drops')}: a drop to score waits for a model, and electricity has none"
    assert told(DROPS) == [waits]
    fail_a_training()
    (sentence,) = told(DROPS, "execution arn")
    assert sentence == f"{waits}; its training t1 FAILED: SnapshotError (`millrace show t1`)"
    assert told(f"1 messages in {OTHER.queue('drops')}")[0].endswith("and air_quality has none")


def test_a_queue_of_a_workload_with_a_model_and_other_queues_are_not_explained(state: Any) -> None:
    version = Version(package_arn="p/1", version="1", model_name="m", run="r", baseline_uri="")
    ReleasePointers(state).move(Pointers(champion=version))
    assert told(DROPS, f"2 messages in {NAMES.queue('decisions')}", "endpoint x") == []


def test_a_cloud_that_does_not_answer_is_no_other_error() -> None:
    def client(_: str) -> Any:
        raise EndpointConnectionError(endpoint_url="http://localhost:1")

    assert explain(client, NAMES.platform, [DROPS]) == []
