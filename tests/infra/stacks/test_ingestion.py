"""The ingestion room as it is deployed."""

from __future__ import annotations

from typing import Any

import pytest

Templates = dict[str, dict[str, dict[str, Any]]]
STACK = "millrace-prod-electricity-ingestion"


@pytest.fixture
def resources(templates: Templates) -> dict[str, Any]:
    found: dict[str, Any] = templates["prod"][STACK]["Resources"]
    return found


def of_type(resources: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [resource["Properties"] for resource in resources.values() if resource["Type"] == kind]


def test_only_the_upkeep_may_delete_more_than_manifests(resources: dict[str, Any]) -> None:
    deletable = [
        resource
        for role in of_type(resources, "AWS::IAM::Role")
        if not role["RoleName"].endswith("-upkeep")
        for policy in role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if "s3:DeleteObject" in statement["Action"]
        for resource in statement["Resource"]
    ]
    assert deletable
    assert all("/metadata/" in resource for resource in deletable)
