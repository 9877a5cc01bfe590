"""What is tried with the local cloud's roles holds on AWS: every stage has the same roles with the same statements."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.end_to_end.test_permissions import ON_AWS, Reason

Templates = dict[str, dict[str, dict[str, Any]]]


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
@pytest.mark.parametrize("entry", ON_AWS, ids=str)
def test_what_only_aws_asks_for_is_allowed(templates: Templates, stage: str, entry: Reason) -> None:
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
