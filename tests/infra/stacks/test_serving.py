"""The serving room, as every stage's template says it."""

import json
from collections.abc import Callable
from dataclasses import replace
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


@pytest.mark.parametrize("dated", [{}, {"predicted_for": "1997-01-02T12:00:00Z"}])
@pytest.mark.parametrize("called", [{}, {"caller": "arn:aws:iam::123456789012:user/ann"}])
@pytest.mark.parametrize("acted", [{}, {"action": "review", "reason": "unsure", "source": "batch"}])
def test_the_table_names_the_fields_of_a_line(
    acted: dict[str, Any], called: dict[str, Any], dated: dict[str, Any]
) -> None:
    """Athena reads lower-case names; a field that the line gains must be gained here too."""
    import json
    import re

    from millrace.decisions.record import to_line
    from millrace.infra.stacks.serving import decision_columns
    from millrace.tasks.task import AnswerField
    from tests.millrace.decisions.test_record import DECISION

    dates = tuple(AnswerField(name=name, kind="text") for name in dated)
    line = json.loads(to_line(replace(DECISION, **acted, **called, **dated)))
    columns = decision_columns(acted=bool(acted), called=bool(called), dates=dates)
    assert list(columns) == [name.lower() for name in line] or set(columns) == {name.lower() for name in line}
    ours = re.findall(r"(\w+):", columns["millrace"])
    assert set(ours) == set(line["millrace"])


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
