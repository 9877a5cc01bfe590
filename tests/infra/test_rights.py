"""Roles have the rights for what machines visibly call, so that a missing one is found without a cloud.

Only actions are compared, not resources: `tests/end_to_end/test_permissions.py` runs all of it under the roles."""

from __future__ import annotations

import re
from typing import Any

import pytest

from localcloud.ledger.ledger import SDK_NAMES
from millrace.names import QUERY
from tests.infra.conftest import statements_of
from tests.infra.machines.contexts import DEFINITIONS, all_states, context_of

Templates = dict[str, dict[str, dict[str, Any]]]

ACTIONS = {"lambda:Invoke": "lambda:InvokeFunction", "s3:ListObjectsV2": "s3:ListBucket"}
"""Calls whose action has another name."""


def allowed(statements: list[dict[str, Any]], resource: str = "") -> set[str]:
    """The actions of the statements, or of those on resources whose ARN holds `resource`."""
    return {action for one in statements if resource in str(one["Resource"]) for action in one["Action"]}


def action_of(integration: str) -> str:
    """`arn:aws:states:::aws-sdk:s3:putObject` is `s3:PutObject`."""
    service, action = re.sub(r"^.*:::(aws-sdk:)?|\.sync(:2)?$|\.waitForTaskToken$", "", integration).split(":")[:2]
    call = f"{SDK_NAMES.get(service, service)}:{action[:1].upper()}{action[1:]}"
    return ACTIONS.get(call, call)


@pytest.mark.parametrize("machine", sorted(DEFINITIONS.keys() - {QUERY}))
def test_a_machine_may_make_the_calls_of_its_definition(machine: str, templates: Templates) -> None:
    tasks = [one for one in all_states(DEFINITIONS[machine](context_of())).values() if one["Type"] == "Task"]
    assert tasks
    needed = {action_of(task["Resource"]) for task in tasks}
    statements = statements_of(templates, "local")[f"{machine}-machine"]
    assert needed - allowed(statements) == set()
    arns = (task["Parameters"]["FunctionName"] for task in tasks if action_of(task["Resource"]).startswith("lambda:"))
    called = {arn.rpartition("-")[2] for arn in arns}
    granted = [str(one["Resource"]) for one in statements if "lambda:InvokeFunction" in one["Action"]]
    assert {name for name in called if not any(f"electricity-{name}" in one for one in granted)} == set()


def test_the_tests_see_what_is_there() -> None:
    """The negative controls."""
    assert action_of("arn:aws:states:::sagemaker:createTrainingJob.sync") == "sagemaker:CreateTrainingJob"
    assert action_of("arn:aws:states:::aws-sdk:applicationautoscaling:putScalingPolicy") == (
        "application-autoscaling:PutScalingPolicy"
    )
    statement = {"Action": ["dynamodb:PutItem"], "Resource": ["arn:aws:dynamodb:::table/millrace-prod-state"]}
    assert allowed([statement], "audit") == set()
