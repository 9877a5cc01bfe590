"""Roles have the rights for what machines and functions visibly call, so that a missing one is found without a cloud.

Only actions are compared, not resources: `tests/end_to_end/test_permissions.py` runs all of it under the roles."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

import pytest

from localcloud.ledger.ledger import SDK_NAMES
from millrace.names import QUERY
from millrace.workload.load import SUITE
from tests.infra.conftest import statements_of
from tests.infra.machines.contexts import DEFINITIONS, all_states, context_of

Templates = dict[str, dict[str, dict[str, Any]]]

FUNCTIONS = sorted(path.parent for path in (SUITE / "functions").glob("*/handler.py"))
ACTIONS = {"lambda:Invoke": "lambda:InvokeFunction", "s3:ListObjectsV2": "s3:ListBucket"}
"""Calls whose action has another name."""
NEEDED = {
    ("millrace.aws.bus", "put_event"): "events:PutEvents",
    ("millrace.state.audit", "append"): "dynamodb:PutItem",
    ("millrace.state.table", "StateTable"): "dynamodb:GetItem dynamodb:PutItem dynamodb:Query dynamodb:UpdateItem",
}
"""What a function imports, and the actions of which it then needs one at least."""
OF_ROOM = {
    **dict.fromkeys(("audit", "record"), ("millrace.state.audit", "append")),
    **dict.fromkeys(("state", "pointers", "leases"), ("millrace.state.table", "StateTable")),
}
"""What a function that takes this from its room imports by it."""
DECLARED = {"consumers", "jobs", "pull", "stream"}
"""Functions that only a workload or a stage which declares them has."""
BY_SECTION = {
    "consumers": ("millrace.state.table", "StateTable"),
    "delivery": ("millrace.state.table", "StateTable"),
    "publish_metrics": ("millrace.state.audit", "append"),
    "start_release": ("millrace.aws.bus", "put_event"),
}
"""What a function does for workloads with a policy alone, or whose endpoint sleeps: `tests/end_to_end/test_idle.py` and
`test_decision_policy.py` do it."""


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


def imported(source: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value).lower().endswith("room"):
            yield OF_ROOM.get(node.attr, ("", ""))


@pytest.mark.parametrize("folder", FUNCTIONS, ids=lambda folder: folder.name)
def test_a_function_may_do_what_it_imports(folder: Any, templates: Templates) -> None:
    found = {one for path in folder.glob("*.py") for one in imported(path.read_text())} - {BY_SECTION.get(folder.name)}
    # What a workload must declare is in no template here; `stacks/test_consumers.py` and others compare its rights.
    statements = statements_of(templates, "local").get(folder.name, [])
    if folder.name in DECLARED:
        return
    assert statements
    lacking = {
        one for one, actions in NEEDED.items() if one in found and not allowed(statements) & set(actions.split())
    }
    assert lacking == set()
    if ("millrace.state.audit", "append") in found:
        assert "dynamodb:PutItem" in allowed(statements, "audit")


def test_the_tests_see_what_is_there() -> None:
    """The negative controls."""
    assert action_of("arn:aws:states:::sagemaker:createTrainingJob.sync") == "sagemaker:CreateTrainingJob"
    assert action_of("arn:aws:states:::aws-sdk:applicationautoscaling:putScalingPolicy") == (
        "application-autoscaling:PutScalingPolicy"
    )
    assert ("millrace.aws.bus", "put_event") in set(imported("from millrace.aws.bus import put_event"))
    assert ("millrace.state.audit", "append") in set(imported("ROOM.audit(event, details, call)"))
    everything = {one for folder in FUNCTIONS for path in folder.glob("*.py") for one in imported(path.read_text())}
    assert set(NEEDED) <= everything
    statement = {"Action": ["dynamodb:PutItem"], "Resource": ["arn:aws:dynamodb:::table/millrace-prod-state"]}
    assert allowed([statement], "audit") == set()
