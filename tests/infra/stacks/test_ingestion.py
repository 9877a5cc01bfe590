"""The ingestion room as it is deployed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import pytest
from aws_cdk.assertions import Template

from millrace.infra.app import build
from millrace.infra.settings import settings_for
from millrace.workload.load import SUITE

Templates = dict[str, dict[str, dict[str, Any]]]
STACK = "millrace-prod-electricity-ingestion"
IMAGE = """
      - name: scan
        logicalType: string
        physicalType: BINARY
        customProperties: [{property: image, value: {encoding: png, shape: [1, 4, 4]}}]
"""


@pytest.fixture
def resources(templates: Templates) -> dict[str, Any]:
    found: dict[str, Any] = templates["prod"][STACK]["Resources"]
    return found


@pytest.fixture
def made(template_of: Callable[[str, str], Template]) -> Template:
    return template_of("prod", "electricity-ingestion")


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


def test_a_query_for_all_that_was_refused_looks_into_few_folders(made: Template) -> None:
    """Athena lists the folder of every value that a projected partition may have, also of those that are not there."""
    (table,) = made.find_resources("AWS::Glue::Table").values()
    parameters = table["Properties"]["TableInput"]["Parameters"]
    since, until = parameters["projection.date.range"].split(",")
    assert until == "NOW+1DAYS"
    days = (date(2026, 12, 31) - date.fromisoformat(since)).days + 1
    assert len(parameters["projection.feed.values"].split(",")) * days < 1_200


def test_only_where_images_come_the_folder_of_objects_is_read(resources: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "workloads" / "electricity"
    copytree(SUITE / "workloads" / "electricity", folder, ignore=ignore_patterns("sample"))
    text = (folder / "contract.yaml").read_text()
    (folder / "contract.yaml").write_text(text.replace("    properties:\n", f"    properties:\n{IMAGE}", 1))
    settings = settings_for("prod", account="123456789012", region="eu-west-1")
    build(settings, workloads=[folder], outdir=str(tmp_path / "out")).synth()
    template = json.loads((tmp_path / "out" / f"{STACK}.template.json").read_text())
    folders = "electricity/objects/*"
    granted = [action for action, resource in grants(template["Resources"]) if resource.endswith(folders)]
    assert sorted(granted) == ["s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"]
    assert not [resource for _, resource in grants(resources) if resource.endswith(folders)]


def grants(resources: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each action with the objects that a role may take it on; of a list with the prefix."""
    for role in of_type(resources, "AWS::IAM::Role"):
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                listed = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix")
                for resource in listed or statement["Resource"]:
                    if isinstance(resource, str):
                        yield from ((action, resource) for action in statement["Action"])
