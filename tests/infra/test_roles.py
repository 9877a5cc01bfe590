"""What is tried with the local cloud's roles holds on AWS: every stage has the same roles with the same statements."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.end_to_end.test_permissions import ON_AWS, OnAws
from tests.infra.conftest import roles_of

Templates = dict[str, dict[str, dict[str, Any]]]

ONLY_LOCAL = {
    ("s3:ListBucket", "-artefacts-", "s3:prefix"),
    ("s3:PutObject", "mlflow_run", ""),
    ("logs:CreateLogStream", "-tracking:", ""),
    ("logs:PutLogEvents", "-tracking:", ""),
    ("kms:GenerateDataKey", "", ""),
}
"""The rights of `tracking`: action, parts of the resource and of the condition. It records runs in a file of the cloud,
and in `dev` and `prod` only where an MLflow is named."""


def statements(templates: Templates, stage: str) -> dict[str, set[str]]:
    """Every permission of each role, and whom it trusts, with the stage's name taken out."""
    found = {}
    for owner, role in roles_of(templates, stage):
        (policy,) = role["Policies"]
        permissions = [
            {**statement, "Action": action, "Resource": resource}
            for statement in policy["PolicyDocument"]["Statement"]
            for action in statement["Action"]
            for resource in statement["Resource"]
        ]
        found[owner] = {_without_stage(part, stage) for part in [*permissions, role["AssumeRolePolicyDocument"]]}
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
        asked = {one["Action"] for one in documents if one.get("Action", "").startswith("xray:")}
        services = next(one for one in documents if "Version" in one)["Statement"][0]["Principal"]["Service"]
        traced[owner] = (_listed(services), {action.partition(":")[2] for action in asked})
    machines = [asked for services, asked in traced.values() if "states.amazonaws.com" in services]
    assert machines == [send | sample] * 6
    functions = [asked for services, asked in traced.values() if services == ["lambda.amazonaws.com"]]
    assert functions == [send] * 12


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
    # In production versions are approved by a person, and those that nobody approves are refused.
    refuses = {one for one in there["training"] if "sagemaker:UpdateModelPackage" in one}
    assert len(refuses) == (stage == "prod")
    assert all("Rejected" in one for one in refuses)
    there["training"] -= refuses
    assert len(local) > 15
    tracking = local["training"] - there["training"]
    assert {one for one in ONLY_LOCAL if any(all(part in text for part in one) for text in tracking)} == ONLY_LOCAL
    assert len(tracking) == len(ONLY_LOCAL)
    assert there == {**local, "training": local["training"] - tracking}
