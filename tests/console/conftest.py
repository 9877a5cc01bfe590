"""The machines of a workload, small, in a local cloud of the file's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from console.local_cloud.local_cloud import PLATFORM
from millrace.names import WorkloadNames

if TYPE_CHECKING:
    from infra.local.kernel.cloud import Cloud

NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
PASS = {"Type": "Pass", "End": True}


@pytest.fixture(scope="module")
def states(cloud: Cloud) -> Any:
    return cloud.client("stepfunctions")


@pytest.fixture(scope="module")
def machine(cloud: Cloud, states: Any) -> Callable[..., str]:
    """The ARN of the workload's machine of this name, made or changed to the given states."""
    trust = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = cloud.client("iam").create_role(RoleName="machines", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    cloud.client("iam").put_role_policy(RoleName="machines", PolicyName="all", PolicyDocument=json.dumps(everything))
    made: set[str] = set()

    def make(name: str, steps: dict[str, Any]) -> str:
        definition = json.dumps({"StartAt": next(iter(steps)), "States": steps})
        if name in made:
            states.update_state_machine(stateMachineArn=NAMES.machine_arn(name), definition=definition)
        else:
            states.create_state_machine(name=NAMES.machine(name), definition=definition, roleArn=role)
        made.add(name)
        return NAMES.machine_arn(name)

    return make


@pytest.fixture(scope="module")
def ran(states: Any) -> Callable[..., str]:
    """The ARN of an execution that has ended."""
    from tests.infra.local.waiting import until

    def run(machine: str, given: dict[str, Any] | None = None, name: str = "") -> str:
        named = {"name": name} if name else {}
        told = states.start_execution(stateMachineArn=machine, input=json.dumps(given or {}), **named)
        arn: str = told["executionArn"]
        until(lambda: states.describe_execution(executionArn=arn)["status"] != "RUNNING")
        return arn

    return run
