"""The serving room, as every stage's template says it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk.assertions import Template

TemplateOf = Callable[[str, str], Template]
STAGES = ["local", "dev", "prod"]


@pytest.mark.parametrize("stage", STAGES)
def test_nobody_predicts_without_a_signature(template_of: TemplateOf, stage: str) -> None:
    made = template_of(stage, "electricity-serving")
    made.resource_count_is("AWS::Lambda::Url", 1)
    made.has_resource_properties("AWS::Lambda::Url", {"AuthType": "AWS_IAM"})


def of_captured(template: dict[str, Any]) -> set[tuple[str, str]]:
    """The roles that may touch kept inputs, how, and whose."""
    return {
        (
            resource["Properties"]["RoleName"].rpartition("-")[2],
            action,
            target.rpartition("/captured/")[0].rpartition("/")[2],
        )
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::IAM::Role"
        for policy in resource["Properties"].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
        for target in statement["Resource"]
        if "/captured/" in json.dumps(target)
        for action in statement["Action"]
    }


def test_only_three_functions_of_a_workload_with_images_touch_what_is_kept(
    other_workloads: Path, templates: dict[str, dict[str, Any]]
) -> None:
    found = {
        path.name.split(".")[0]: of_captured(json.loads(path.read_text()))
        for path in other_workloads.glob("*.template.json")
    }
    assert {name: roles for name, roles in found.items() if roles} == {
        "millrace-dev-xray-release": {("release", "s3:GetObject", "xray")},
        "millrace-dev-xray-serving": {("prediction", "s3:PutObject", "xray")},
        "millrace-dev-xray-training": {("snapshot", "s3:GetObject", "xray")},
    }
    assert not any(of_captured(template) for template in templates["dev"].values()), "electricity has no images"
