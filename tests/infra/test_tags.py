"""Tags: of the templates, of what machines make, and the owner's own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cfnlint
import pytest

from millrace.errors import ConfigurationError
from millrace.infra.options import Options, options_of
from millrace.infra.rules.assembly import read
from millrace.infra.rules.tags import PROPERTY, UNTAGGABLE
from millrace.infra.settings import settings_for
from millrace.workload.load import SUITE

SCHEMAS = Path(cfnlint.__file__).parent / "data" / "schemas"


def tagging(kind: str) -> dict[str, Any]:
    """What CloudFormation's own schema says of the tags of a type."""
    file = json.loads((SCHEMAS / "providers" / "eu-west-1.json").read_text())[kind]
    found: dict[str, Any] = json.loads((SCHEMAS / "resources" / f"{file}.json").read_text())["tagging"]
    return found


@pytest.mark.parametrize("kind", sorted(UNTAGGABLE))
def test_a_type_that_the_rule_lets_pass_takes_no_tags(kind: str) -> None:
    assert tagging(kind)["taggable"] is False


def test_the_property_of_the_tags_is_the_one_of_the_schema(assemblies: dict[str, Path]) -> None:
    kinds = {one.kind for stack in read(assemblies["prod"]) for one in stack.resources()} - UNTAGGABLE
    for kind in kinds | set(PROPERTY):
        assert tagging(kind)["tagProperty"] == f"/properties/{PROPERTY.get(kind, 'Tags')}", kind


def test_the_guide_activates_the_tag_that_budgets_count_by(assemblies: dict[str, Path]) -> None:
    """What no payer has activated is in no bill: the budget would stay at nothing."""
    budgets = [one.properties for stack in read(assemblies["prod"]) for one in stack.resources("AWS::Budgets::Budget")]
    (counted,) = {key.removeprefix("user:").partition("$")[0] for one in budgets
                  for key in one["Budget"]["CostFilters"]["TagKeyValue"]}  # fmt: skip
    (command,) = re.findall(
        r"aws ce update-cost-allocation-tags-status.*", (SUITE / "docs" / "deploying.md").read_text()
    )
    assert f"TagKey={counted},Status=Active" in command


def test_the_tags_name_stage_workload_and_room(assemblies: dict[str, Path]) -> None:
    ours = {stack.name: stack for stack in read(assemblies["prod"])}
    for name, values in (
        ("millrace-prod-platform", {"prod", "all-workloads", "platform"}),
        (
            "millrace-prod-electricity-scoring",
            {"prod", "electricity", "scoring", "millrace-prod-electricity", "energy-ml"},
        ),
    ):
        (log,) = list(ours[name].resources("AWS::S3::Bucket", "AWS::Lambda::Function"))[:1]
        assert {tag["Value"] for tag in log.properties["Tags"]} == values


def test_the_owner_adds_tags() -> None:
    options = options_of({"dev": {"tags": {"cost-centre": "4711"}}}, "dev")
    settings = settings_for("dev", account="123456789012", region="eu-west-1", options=options)
    assert settings.tags_of("platform") == {
        "cost-centre": "4711",
        "millrace:component": "platform",
        "millrace:stage": "dev",
        "millrace:workload": "all-workloads",
    }
    assert options_of('{"dev": {"tags": {"a": "b"}}}', "dev").tags == {"a": "b"}
    assert options_of(None, "dev") == options_of({"prod": {"tags": {"a": "b"}}}, "dev") == Options()


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ({"dev": {"tags": {"millrace:workload": "mine"}}}, "expected other keys than"),
        ({"dev": {"tags": {"aws:mine": "x"}}}, "expected other keys than"),
        ({"dev": {"tags": {"a": "*"}}}, "stages.dev.tags.a"),
        ({"dev": {"colour": "red"}}, "stages.dev.colour"),
        ("{", "expected values by stage"),
        ([], "expected values by stage"),
    ],
)
def test_a_wrong_option_is_named(stages: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        options_of(stages, "dev")
