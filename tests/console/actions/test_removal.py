"""A workload goes with its machine and its stacks, and the others stay; in a real local cloud: test_local.py."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from millrace.console.actions.teardown import find_removable, remove
from millrace.console.environment import Environment
from millrace.errors import RunError
from millrace.names import ROOMS, WorkloadNames
from tests.console.conftest import DEV, make_machines, make_stores, stage_of
from tests.credentials import set_credentials

INCOME, DELAY = (WorkloadNames(platform=DEV, workload=workload) for workload in ("income", "delay"))
TEMPLATE = json.dumps({"Resources": {"queue": {"Type": "AWS::SQS::Queue"}}})


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    """A stage with two workloads, both without a folder. Both tables are there, and the bucket of drops has a file."""
    set_credentials(monkeypatch)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        stage = stage_of(DEV)
        for names in (INCOME, DELAY):
            for room in ROOMS:
                boto3.client("cloudformation").create_stack(StackName=names.stack(room), TemplateBody=TEMPLATE)
            make_machines(stage, names, "teardown")
        boto3.client("cloudformation").create_stack(StackName="millrace-dev-income-own", TemplateBody=TEMPLATE)
        make_stores(stage, "landing", "lake", "artefacts")
        boto3.client("s3").put_object(Bucket=DEV.bucket("landing"), Key="income/training/x.csv", Body=b"x")
        yield stage


def stacks() -> list[str]:
    return sorted(stack["StackName"] for stack in boto3.client("cloudformation").describe_stacks()["Stacks"])


def executions(names: WorkloadNames) -> int:
    machine = names.machine_arn("teardown")
    return len(boto3.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"])


def test_its_machine_runs_and_its_stacks_go_and_nobody_else_s(environment: Environment) -> None:
    lines: list[str] = []
    remove(environment, find_removable(environment, ["income"]), said=lines.append, poll_s=0.01)
    assert stacks() == sorted([*map(DELAY.stack, ROOMS), "millrace-dev-income-own"])
    assert (executions(INCOME), executions(DELAY)) == (1, 0)
    deleted = [line for line in lines if line.endswith(": deleted")]
    assert deleted[-1] == "millrace-dev-income-teardown: deleted", "until the end the removal can be repeated"
    assert len(deleted) == len(ROOMS)
    assert [line.partition(";")[0] for line in lines if line.startswith("left: ")] == [
        f"left: s3://{DEV.bucket('landing')}/income/",
        "left: items of income in the tables millrace-dev-state and millrace-dev-audit",
    ]


def test_a_second_removal_takes_what_the_first_left(environment: Environment) -> None:
    """The machine may be gone by then."""
    cloudformation = boto3.client("cloudformation")
    for room in ROOMS[1:]:
        cloudformation.delete_stack(StackName=INCOME.stack(room))
    boto3.client("stepfunctions").delete_state_machine(stateMachineArn=INCOME.machine_arn("teardown"))
    lines: list[str] = []
    remove(environment, find_removable(environment, ["income"]), said=lines.append, poll_s=0.01)
    assert lines[0] == "millrace-dev-income-teardown is not deployed: only the stacks of income are deleted"
    assert not [stack for stack in stacks() if stack in map(INCOME.stack, ROOMS)]


class StuckStack:
    """CloudFormation, which cannot delete the stack of the trainings."""

    def __init__(self) -> None:
        self._client = boto3.client("cloudformation")
        self.stuck = INCOME.stack("training")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def delete_stack(self, StackName: str) -> None:
        if StackName != self.stuck:
            self._client.delete_stack(StackName=StackName)

    def get_waiter(self, name: str) -> Any:
        waiter = self._client.get_waiter(name)
        waiter._operation_method = self._described
        return waiter

    def _described(self, StackName: str) -> dict[str, Any]:
        if StackName == self.stuck:
            return {"Stacks": [{"StackName": StackName, "StackStatus": "DELETE_FAILED"}]}
        missing = {"Error": {"Code": "ValidationError", "Message": "does not exist"}}
        return {**missing, "ResponseMetadata": {}}

    def describe_stack_events(self, StackName: str) -> dict[str, Any]:
        whole = {"LogicalResourceId": StackName, "ResourceStatusReason": "The following resource(s) failed: [group]"}
        group = {"LogicalResourceId": "group", "ResourceStatusReason": "Model Package Group has packages"}
        return {"StackEvents": [{**one, "ResourceStatus": "DELETE_FAILED"} for one in (whole, group)]}


def test_a_stack_that_stays_is_an_error_with_its_reason_and_the_machine_stays(environment: Environment) -> None:
    cloudformation = StuckStack()
    stuck = Environment(platform=DEV, client=lambda n: cloudformation if n == "cloudformation" else boto3.client(n))
    with pytest.raises(
        RunError, match=r"income-training: .* got group: Model Package Group has packages; run it again"
    ):
        remove(stuck, [INCOME], said=lambda _: None, poll_s=0.01)
    assert INCOME.stack("teardown") in stacks()
