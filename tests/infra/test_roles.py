"""What is tried with the local cloud's roles holds on AWS: every stage has the same roles with the same statements."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.end_to_end.test_permissions import ON_AWS, OnAws
from tests.infra.conftest import roles_of

Templates = dict[str, dict[str, dict[str, Any]]]

ONLY_LOCAL = {"tracking"}
"""Runs are recorded in a file of the cloud; in `dev` and `prod` only where an MLflow is named."""


def statements(templates: Templates, stage: str) -> dict[str, set[str]]:
    """Every statement of each role, and whom it trusts, with the stage's name taken out."""
    found = {}
    for owner, role in roles_of(templates, stage):
        (policy,) = role["Policies"]
        parts = [*policy["PolicyDocument"]["Statement"], role["AssumeRolePolicyDocument"]]
        found[owner] = {_without_stage(part, stage) for part in parts}
    return found


def _without_stage(part: Any, stage: str) -> str:
    text = json.dumps(part, sort_keys=True)
    for name in (f"millrace-{stage}", f"millrace_{stage}", f"millrace{stage}", f"Millrace/{stage}"):
        text = text.replace(name, "millrace")
    return text


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_machines_trace_what_the_sampling_rules_choose_and_functions_send_alone(
    templates: Templates, stage: str
) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/xray-iam.html,
    https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html"""
    send, sample = {"PutTelemetryRecords", "PutTraceSegments"}, {"GetSamplingRules", "GetSamplingTargets"}
    traced = {}
    for owner, parts in statements(templates, stage).items():
        documents = [json.loads(part) for part in parts]
        asked = {action for one in documents for action in one.get("Action", []) if action.startswith("xray:")}
        service = next(one for one in documents if "Version" in one)["Statement"][0]["Principal"]["Service"]
        traced[owner] = (service.partition(".")[0], {action.partition(":")[2] for action in asked})
    assert {tuple(sorted(asked)) for service, asked in traced.values() if service == "states"} == {
        tuple(sorted(send | sample))
    }
    assert {tuple(sorted(asked)) for service, asked in traced.values() if service == "lambda"} == {tuple(sorted(send))}


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_no_role_reaches_a_job_of_another_stage(templates: Templates, stage: str) -> None:
    """A job's name is a digest, so a condition on its tag is what tells it from one of the same workload elsewhere."""
    asked = [
        part
        for template in templates[stage].values()
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::IAM::Role"
        for part in resource["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        if "-job/*" in json.dumps(part["Resource"]) and part["Action"] != ["sagemaker:ListTags"]
    ]
    assert len(asked) > 10
    assert [part for part in asked if f'"millrace-{stage}-electricity"' not in json.dumps(part.get("Condition"))] == []


@pytest.mark.parametrize("stage", ["dev", "prod"])
@pytest.mark.parametrize("entry", ON_AWS, ids=lambda entry: f"{entry.roles[0]} {entry.actions[0]} {entry.resource}")
def test_what_only_aws_asks_for_is_allowed(templates: Templates, stage: str, entry: OnAws) -> None:
    """No run of the local cloud would miss these rights."""
    asked = {
        action
        for template in templates[stage].values()
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::IAM::Role"
        for part in resource["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        if part["Effect"] == "Allow" and any(fnmatchcase(place, entry.resource) for place in _listed(part["Resource"]))
        for action in _listed(part["Action"])
        for owner in [
            resource["Properties"]["RoleName"].removeprefix(f"millrace-{stage}-").removeprefix("electricity-")
        ]
        if any(fnmatchcase(owner, pattern) for pattern in entry.roles)
    }
    assert set(entry.actions) <= asked


def _listed(value: Any) -> list[str]:
    """As texts, also where CloudFormation puts them together."""
    return [one if isinstance(one, str) else json.dumps(one) for one in (value if isinstance(value, list) else [value])]


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_every_stage_has_the_same_roles(templates: Templates, stage: str) -> None:
    local, there = statements(templates, "local"), statements(templates, stage)
    assert len(local) > 35
    assert set(local) - set(there) == ONLY_LOCAL
    assert there == {owner: parts for owner, parts in local.items() if owner not in ONLY_LOCAL}
