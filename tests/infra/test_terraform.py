"""The configuration for Terraform that docs/deploying.md makes of an assembly."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path

import boto3
import pytest
from botocore.validate import validate_parameters

from tests.documentation.pages import PAGES

ARGUMENTS = {
    "name": "StackName", "template_url": "TemplateURL", "template_body": "TemplateBody", "parameters": "Parameters",
    "capabilities": "Capabilities", "disable_rollback": "DisableRollback", "iam_role_arn": "RoleARN", "tags": "Tags",
    "notification_arns": "NotificationARNs", "on_failure": "OnFailure", "policy_body": "StackPolicyBody",
    "policy_url": "StackPolicyURL", "timeout_in_minutes": "TimeoutInMinutes",
}  # fmt: skip
"""What the provider hashicorp/aws 6 knows of `aws_cloudformation_stack`, and which field of CreateStack it becomes."""
LARGEST_BYTES = 1_000_000
"""https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""


@pytest.mark.skipif(shutil.which("jq") is None, reason="the page asks for jq")
def test_each_stack_is_made_of_its_published_template_after_those_that_it_needs(assemblies: dict[str, Path]) -> None:
    folder = assemblies["prod"]
    (program,) = re.findall(r"^jq '(.+?)' \S+/manifest.json", PAGES["docs/deploying.md"], re.M | re.S)
    written = subprocess.run(["jq", program, folder / "manifest.json"], check=True, capture_output=True).stdout
    stacks = json.loads(written)["resource"]["aws_cloudformation_stack"]
    published = {
        f"https://s3.eu-west-1.amazonaws.com/{place['bucketName']}/{place['objectKey']}": folder
        / file["source"]["path"]
        for manifest in folder.glob("*.assets.json")
        for file in json.loads(manifest.read_text())["files"].values()
        for place in file["destinations"].values()
    }
    shape = boto3.client("cloudformation", region_name="eu-west-1").meta.service_model.shape_for("CreateStackInput")
    after = {
        key: [one.removeprefix("aws_cloudformation_stack.") for one in stack.pop("depends_on")]
        for key, stack in stacks.items()
    }
    assert {*TopologicalSorter(after).static_order()} == stacks.keys()
    assert any(after.values())
    for stack in stacks.values():
        validate_parameters({ARGUMENTS[key]: value for key, value in stack.items()}, shape)
        assert set(stack["capabilities"]) <= set(shape.members["Capabilities"].member.enum)
        template = published[stack["template_url"]]
        assert template.name == f"{stack['name']}.template.json"
        assert template.stat().st_size <= LARGEST_BYTES
        assert all("Default" in one for one in json.loads(template.read_text()).get("Parameters", {}).values())
    assert {stack["name"] for stack in stacks.values()} == {
        path.name.removesuffix(".template.json") for path in folder.glob("*.template.json")
    }
