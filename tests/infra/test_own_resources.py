"""What an account has already: a boundary, a network and a key instead of the platform's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.app import build
from infra.options import options_of
from infra.rules.assembly import Stack, read
from infra.rules.catalogue import findings
from infra.settings import settings_for
from millrace.errors import ConfigurationError
from tests.infra.conftest import ELECTRICITY

OWN: dict[str, Any] = {
    "permissions_boundary": "arn:aws:iam::123456789012:policy/boundary",
    "network": {"subnets": ["subnet-0a1b2c3d", "subnet-1a2b3c4d"], "security_group": "sg-0a1b2c3d"},
    "key_arn": "arn:aws:kms:eu-west-1:123456789012:key/0f1e2d3c-0000-4000-8000-000000000000",
}


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> list[Stack]:
    folder = tmp_path_factory.mktemp("own")
    options = options_of({"dev": OWN}, "dev")
    settings = settings_for(
        "dev", account="123456789012", region="eu-west-1", options=options, alarm_webhook="chat/url"
    )
    build(settings, workloads=[ELECTRICITY], outdir=str(folder)).synth()
    return read(folder)


def kinds(stacks: list[Stack]) -> set[str]:
    return {one.kind for stack in stacks for one in stack.resources()}


def test_every_role_has_the_boundary(stacks: list[Stack], assemblies: dict[str, Path]) -> None:
    roles = [one.properties for stack in stacks for one in stack.resources("AWS::IAM::Role")]
    assert {role["PermissionsBoundary"] for role in roles} == {OWN["permissions_boundary"]}
    without = [one for stack in read(assemblies["dev"]) for one in stack.resources("AWS::IAM::Role")]
    assert len(without) == len(roles) - 1, "the webhook's"
    assert "millrace-dev-webhook" in {role["RoleName"] for role in roles}
    assert not any("PermissionsBoundary" in role.properties for role in without)


def test_no_network_and_no_key_is_made(stacks: list[Stack], assemblies: dict[str, Path]) -> None:
    """But the one that signs: nobody else may sign with that."""
    assert not {kind for kind in kinds(stacks) if kind.startswith("AWS::EC2::")}
    assert [one.logical_id for stack in stacks for one in stack.resources("AWS::KMS::Key")] == ["SigningKey"]
    assert {"AWS::EC2::VPC", "AWS::KMS::Key"} <= kinds(read(assemblies["dev"]))


def test_the_platform_publishes_them_as_its_own(stacks: list[Stack]) -> None:
    (platform,) = (stack for stack in stacks if stack.name == "millrace-dev-platform")
    found = {one.properties["Name"]: one.properties["Value"] for one in platform.resources("AWS::SSM::Parameter")}
    network: Any = OWN["network"]
    ours = {"/millrace-dev/audit-stream-arn", "/millrace-dev/signing-key-arn"}
    assert {name: value for name, value in found.items() if name not in ours} == {
        "/millrace-dev/key-arn": OWN["key_arn"],
        "/millrace-dev/subnet-a": network["subnets"][0],
        "/millrace-dev/subnet-b": network["subnets"][1],
        "/millrace-dev/security-group": network["security_group"],
    }
    encrypted = [one for one in platform.resources("AWS::S3::Bucket") if OWN["key_arn"] in json.dumps(one.properties)]
    assert len(encrypted) == 4, "all but the access logs"


def test_no_rule_is_broken(stacks: list[Stack]) -> None:
    assert findings(stacks) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("permissions_boundary", "boundary"),
        ("key_arn", "alias/mine"),
        ("network", {"subnets": ["subnet-0a1b2c3d"], "security_group": "sg-0a1b2c3d"}),
        ("network", {"subnets": ["subnet-0a1b2c3d", "vpc-0a1b2c3d"], "security_group": "sg-0a1b2c3d"}),
        ("network", {"subnets": ["subnet-0a1b2c3d", "subnet-1a2b3c4d"]}),
    ],
)
def test_what_cannot_be_is_named(key: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"stages.dev.{key}"):
        options_of({"dev": {key: value}}, "dev")
