"""What an account has already: a boundary, a network, a key and a bus instead of the platform's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from moto.events.models import EventPattern

from millrace.errors import ConfigurationError
from millrace.infra.app import build
from millrace.infra.options import options_of
from millrace.infra.rules.assembly import Stack, read, tasks
from millrace.infra.rules.catalogue import findings
from millrace.infra.settings import settings_for
from millrace.settings.environment import PlatformEnvironment
from tests.infra.conftest import ELECTRICITY

OWN: dict[str, Any] = {
    "permissions_boundary": "arn:aws:iam::123456789012:policy/boundary",
    "network": {"subnets": ["subnet-0a1b2c3d", "subnet-1a2b3c4d"], "security_group": "sg-0a1b2c3d"},
    "key_arn": "arn:aws:kms:eu-west-1:123456789012:key/0f1e2d3c-0000-4000-8000-000000000000",
    "event_bus": "company",
}
BUS = "arn:aws:events:eu-west-1:123456789012:event-bus/company"


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
        "/millrace-dev/subnet-0": network["subnets"][0],
        "/millrace-dev/subnet-1": network["subnets"][1],
        "/millrace-dev/security-group": network["security_group"],
    }
    encrypted = [one for one in platform.resources("AWS::S3::Bucket") if OWN["key_arn"] in json.dumps(one.properties)]
    assert len(encrypted) == 4, "all but the access logs"


def test_events_are_put_on_the_bus_and_no_other_is_made(stacks: list[Stack]) -> None:
    assert "AWS::Events::EventBus" not in kinds(stacks)
    entries = [entry for task in tasks(stacks, "putEvents") for entry in task.parameters["Entries"]]
    assert len(entries) > 10
    assert {entry["EventBusName"] for entry in entries} == {BUS}
    named = {one.properties.get("EventBusName") for stack in stacks for one in stack.resources("AWS::Events::Rule")}
    assert named == {None, "company"}
    templates = json.dumps([dict(stack.template) for stack in stacks])
    assert [name for name in ("event-bus/millrace-dev", "rule/millrace-dev/") if name in templates] == []


def test_functions_know_the_bus(stacks: list[Stack], assemblies: dict[str, Path]) -> None:
    def variables(found: list[Stack]) -> dict[str, dict[str, str]]:
        functions = [one.properties for stack in found for one in stack.resources("AWS::Lambda::Function")]
        return {one["FunctionName"]: one["Environment"]["Variables"] for one in functions}

    for name, given in variables(stacks).items():
        settings = PlatformEnvironment.parse({key: given[key] for key in given if key in PLATFORM_VARIABLES})
        assert settings.platform.bus_arn == BUS, name
    assert not any("MILLRACE_EVENT_BUS" in given for given in variables(read(assemblies["dev"])).values())


PLATFORM_VARIABLES = {f"MILLRACE_{name.upper()}" for name in PlatformEnvironment.model_fields}


def ours(stacks: list[Stack]) -> list[dict[str, Any]]:
    rules = [one.properties for stack in stacks for one in stack.resources("AWS::Events::Rule")]
    return [rule["EventPattern"] for rule in rules if rule.get("EventBusName")]


def test_another_stage_may_be_on_the_same_bus(stacks: list[Stack], assemblies: dict[str, Path]) -> None:
    """Each rule takes the events of its own stage: a model of `prod` is not released in `dev`."""

    def taken(patterns: list[dict[str, Any]], run: str, **more: str) -> int:
        found = 0
        for pattern in patterns:
            wanted = {name: values for name, values in pattern.get("detail", {}).items() if name != "$or"}
            detail = {name: values[0] for name, values in wanted.items()} | {"rows_total": 10**9, "run": run} | more
            event = {"source": "millrace", "detail-type": pattern["detail-type"][0], "detail": detail}
            found += EventPattern.load(json.dumps(pattern)).matches_event(event)
        return found

    arn = "arn:aws:{}:eu-west-1:123456789012:{}:millrace-{}-electricity-{}"
    runs = {stage: arn.format("states", "execution", stage, "train:7f") for stage in ("dev", "prod")}
    calls = {stage: arn.format("lambda", "function", stage, "lateness") for stage in ("dev", "prod")}
    patterns = ours(stacks)
    assert len(patterns) >= 8
    for named in (runs, calls):
        assert (taken(patterns, named["dev"]), taken(patterns, named["prod"])) == (len(patterns), 0)
    asked = {stage: taken(patterns, "a program of ours", stage=stage) for stage in ("dev", "prod")}
    assert asked == {"dev": len(patterns), "prod": 0}, "a request names the stage, as it has no run"
    own_bus = ours(read(assemblies["dev"]))
    assert taken(own_bus, runs["prod"]) == len(own_bus), "the control: a bus of its own has no others' events"


def test_no_rule_is_broken(stacks: list[Stack]) -> None:
    assert findings(stacks) == []


def test_a_key_of_another_region_is_refused() -> None:
    options = options_of({"dev": {"key_arn": OWN["key_arn"]}}, "dev")
    said = r"stages\.dev\.key_arn: expected a key of the stage's region eu-central-1, got 'arn:aws:kms:eu-west-1:"
    with pytest.raises(ConfigurationError, match=said):
        settings_for("dev", account="123456789012", region="eu-central-1", options=options)
