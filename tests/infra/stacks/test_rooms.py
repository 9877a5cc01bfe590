"""A stack holds its machine and what that machine calls, so that all of one run is in one room."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from millrace.infra.stacks import catalogue
from millrace.names import ROOMS

Templates = dict[str, dict[str, Any]]
CALLED = re.compile(r"arn:aws:(?:(?:lambda|iam):[^:]*:\d+):((?:function:|role/)[a-z0-9_-]+)")
"""Functions and roles in a machine's definition."""
NAMED = {"AWS::Lambda::Function": ("function:", "FunctionName"), "AWS::IAM::Role": ("role/", "RoleName")}


def elsewhere(templates: Templates) -> dict[str, set[str]]:
    """Functions and roles outside of the stack of every machine that uses them, and the stacks of these machines."""
    used: dict[str, set[str]] = {}
    there: dict[str, str] = {}
    for stack, template in templates.items():
        for resource in template["Resources"].values():
            if resource["Type"] in NAMED:
                prefix, name = NAMED[resource["Type"]]
                there[prefix + resource["Properties"][name]] = stack
            elif resource["Type"] == "AWS::StepFunctions::StateMachine":
                for called in CALLED.findall(json.dumps(resource["Properties"]["DefinitionString"])):
                    used.setdefault(called, set()).add(stack)
    assert used.keys() <= there.keys()
    assert len(used) > 15
    return {called: stacks for called, stacks in used.items() if there[called] not in stacks}


def test_who_removes_a_workload_knows_every_room() -> None:
    assert [room.room for room in catalogue.ROOMS] == [*ROOMS]
    assert ROOMS[-1] == "teardown"


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_a_machine_finds_its_functions_and_roles_in_its_own_stack(templates: dict[str, Templates], stage: str) -> None:
    assert elsewhere(templates[stage]) == {}


def test_a_function_in_another_room_is_found(templates: dict[str, Templates]) -> None:
    moved = json.loads(json.dumps(templates["dev"]))
    training, ingestion = (moved[f"millrace-dev-electricity-{room}"]["Resources"] for room in ("training", "ingestion"))
    (key,) = [
        key
        for key, one in training.items()
        if one["Type"] == "AWS::Lambda::Function" and one["Properties"]["FunctionName"].endswith("-budget")
    ]
    ingestion[key] = training.pop(key)
    assert elsewhere(moved) == {"function:millrace-dev-electricity-budget": {"millrace-dev-electricity-training"}}
