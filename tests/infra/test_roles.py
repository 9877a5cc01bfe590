"""What is tried with the local cloud's roles holds on AWS: every stage has the same roles with the same statements."""

from __future__ import annotations

import json
from typing import Any

import pytest

Templates = dict[str, dict[str, dict[str, Any]]]

ONLY_ON_AWS = {
    ("tracking", "sagemaker-mlflow:CreateExperiment"),
    ("tracking", "sagemaker-mlflow:CreateRun"),
    ("tracking", "sagemaker-mlflow:DeleteRun"),
    ("tracking", "sagemaker-mlflow:GetExperimentByName"),
    ("tracking", "sagemaker-mlflow:LogBatch"),
    ("tracking", "sagemaker-mlflow:UpdateRun"),
}
"""Of the managed MLflow server, where a desk has a file.

https://docs.aws.amazon.com/sagemaker/latest/dg/mlflow-create-tracking-server-iam.html"""


def statements(templates: Templates, stage: str) -> dict[str, set[str]]:
    """Every statement of each role, and whom it trusts, with the stage's name taken out."""
    found = {}
    for template in templates[stage].values():
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::IAM::Role":
                role = resource["Properties"]
                (policy,) = role["Policies"]
                parts = [*policy["PolicyDocument"]["Statement"], role["AssumeRolePolicyDocument"]]
                owner = role["RoleName"].removeprefix(f"millrace-{stage}-electricity-")
                found[owner] = {_without_stage(part, stage) for part in parts}
    return found


def _without_stage(part: Any, stage: str) -> str:
    text = json.dumps(part, sort_keys=True)
    for name in (f"millrace-{stage}", f"millrace_{stage}", f"millrace{stage}"):
        text = text.replace(name, "millrace")
    return text


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_every_stage_has_the_same_roles(templates: Templates, stage: str) -> None:
    local, there = statements(templates, "local"), statements(templates, stage)
    assert len(local) > 35
    assert set(local) == set(there)
    differing = {owner: local[owner] ^ there[owner] for owner in local if local[owner] != there[owner]}
    actions = {(owner, action) for owner, parts in differing.items() for part in parts
               for action in json.loads(part)["Action"]}  # fmt: skip
    assert actions == ONLY_ON_AWS
    assert all(local[owner] < there[owner] for owner in differing)
