"""What an upgrade would change, by the templates of a deployed stack and of the installed version."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from millrace.console.environment import Environment
from millrace.console.queries import upgrade
from millrace.console.queries.upgrade import compare, find_changes
from millrace.names import Platform

REGION = "eu-west-1"


def table(**properties: Any) -> dict[str, Any]:
    given = {"TableName": "t", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], **properties}
    return {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain", "Properties": given}


QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q"}}
CUSTOM = {"Type": "Custom::Thing", "Properties": {"Size": 1}}


@pytest.mark.parametrize(
    ("before", "after", "change", "properties", "is_refused"),
    [
        (table(), table(BillingMode="PAY_PER_REQUEST"), "changed", "BillingMode", False),
        (table(), table(TableName="other"), "replaced", "TableName", True),
        (table(), table(KeySchema=[]), "replaced", "KeySchema", True),
        (table(), QUEUE, "replaced", "Type", True),
        (table(), None, "removed", "", True),
        (QUEUE, None, "removed", "", False),
        (None, QUEUE, "made", "", False),
        (CUSTOM, {**CUSTOM, "Properties": {"Size": 2}}, "changed", "Size", False),
    ],
)
def test_a_resource_that_would_be_made_anew_or_left_behind_is_refused(
    before: Any, after: Any, change: str, properties: str, is_refused: bool
) -> None:
    resources = [{"kept": QUEUE, **({"R": one} if one else {})} for one in (before, after)]
    (found,) = compare("s", *resources, REGION)
    assert (found.resource, found.change, found.properties, found.is_refused) == ("R", change, properties, is_refused)


def test_the_installed_version_is_compared_with_what_is_deployed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def synthesize(environment: Environment, folder: Path, build: Path) -> None:
        for stack, resources in (("ours", {"T": table(TableName="t2")}), ("more", {"Q": QUEUE})):
            (folder / f"{stack}.template.json").write_text(json.dumps({"Resources": resources}))

    monkeypatch.setattr(upgrade, "_synthesize", synthesize)
    platform = Platform(stage="dev", account="123456789012", region=REGION)
    with mock_aws():
        client = boto3.client("cloudformation", region_name=REGION)
        attributes = [{"AttributeName": "id", "AttributeType": "S"}]
        deployed = {"T": table(AttributeDefinitions=attributes, BillingMode="PAY_PER_REQUEST")}
        client.create_stack(StackName="ours", TemplateBody=json.dumps({"Resources": deployed}))
        found = find_changes(Environment(platform=platform, client=lambda _: client), tmp_path)
    assert {(one.stack, one.resource, one.change) for one in found} == {
        ("ours", "T", "replaced"),
        ("more", upgrade.WHOLE, "made"),
    }
