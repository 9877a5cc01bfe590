"""Another team's CDK app takes the suite as a construct, beside what it has of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_sns as sns
from moto.events.models import EventPattern

from millrace.errors import ConfigurationError, MillraceError
from millrace.infra.app import Millrace, build
from millrace.infra.options import options_of
from millrace.infra.rules.assembly import Stack, machines, read
from millrace.infra.rules.catalogue import findings
from millrace.infra.settings import settings_for
from millrace.workload.load import workloads_folder
from tests.infra.conftest import ELECTRICITY, OWN

PLACE = {"account": "123456789012", "region": "eu-west-1"}


class Shop(cdk.Stack):
    """What the other app is about."""

    def __init__(self, scope: cdk.App) -> None:
        super().__init__(scope, "shop", env=cdk.Environment(**PLACE))
        sns.Topic(self, "Orders")


def templates(app: cdk.App) -> dict[str, object]:
    return {stack.stack_name: stack.template for stack in app.synth().stacks}


def test_the_construct_makes_the_stacks_of_the_app_beside_the_others(tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path / "other"))
    Shop(app)
    Millrace(app, "ml", stage="dev", workloads=["income"], options={"like": "dev"}, **PLACE)
    own = build(settings_for("dev", **PLACE), workloads=[workloads_folder() / "income"], outdir=str(tmp_path / "own"))
    made = templates(app)
    assert made.pop("shop")
    assert made == templates(own)


def test_a_workload_that_is_no_folder_is_refused() -> None:
    with pytest.raises(MillraceError, match=r"names of workloads.*got 'outcome'"):
        Millrace(cdk.App(), "ml", stage="dev", workloads=["outcome"], **PLACE)


@pytest.fixture(scope="module")
def stacks(own_resources: Path) -> list[Stack]:
    return read(own_resources)


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


def test_a_key_of_another_region_is_refused() -> None:
    options = options_of({"dev": {"key_arn": OWN["key_arn"]}}, "dev")
    said = r"stages\.dev\.key_arn: expected a key of the stage's region eu-central-1, got 'arn:aws:kms:eu-west-1:"
    with pytest.raises(ConfigurationError, match=said):
        settings_for("dev", account="123456789012", region="eu-central-1", options=options)


@pytest.mark.parametrize(("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")])
def test_no_template_names_another_partition(tmp_path: Path, region: str, partition: str) -> None:
    """Step Functions refuses a machine with a task of another partition; the rules read the tasks all the same."""
    build(
        settings_for("dev", account="123456789012", region=region), workloads=[ELECTRICITY], outdir=str(tmp_path)
    ).synth()
    stacks = read(tmp_path)
    for machine in machines(stacks):
        assert all(task.state["Resource"].startswith(f"arn:{partition}:states:::") for task in machine.tasks())
    assert [path.name for path in tmp_path.glob("*.template.json") if "arn:aws:" in path.read_text()] == []
    assert findings(stacks) == []
