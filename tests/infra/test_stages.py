"""Stages by other names, and two regions in one account."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cfnlint
import pytest

from millrace.errors import ConfigurationError, WorkloadError
from millrace.infra.app import build
from millrace.infra.options import Options, options_of
from millrace.infra.rules.assembly import Stack, read
from millrace.infra.rules.catalogue import findings
from millrace.infra.rules.tags import PROPERTY, UNTAGGABLE
from millrace.infra.settings import settings_for
from millrace.names import LONGEST_PREFIX, Platform, WorkloadNames
from millrace.workload.load import SUITE
from tests.infra.conftest import OWN

PLACE: dict[str, Any] = {"account": "123456789012", "region": "us-east-1"}


def workload(folder: Path, stage: str, name: str = "electricity") -> Path:
    """The workload, with instances for the stage as for prod."""
    made = folder / name
    made.mkdir()
    for file in ("workload.yaml", "contract.yaml"):
        text = (SUITE / "workloads" / "electricity" / file).read_text().replace("prod: ml.", f"{stage}: ml.")
        (made / file).write_text(text.replace("name: electricity", f"name: {name}"))
    return made


@pytest.fixture(scope="module")
def produs(tmp_path_factory: pytest.TempPathFactory) -> list[Stack]:
    """A stage that is like prod, in another region of the same account."""
    folder = tmp_path_factory.mktemp("produs")
    settings = settings_for("produs", **PLACE, options=options_of({"produs": {"like": "prod"}}, "produs"))
    made = workload(folder, "produs")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MILLRACE_WORKLOADS", str(folder))  # whose instances decide on the base image
        build(settings, workloads=[made], outdir=str(folder / "out")).synth()
    return read(folder / "out")


def names(stacks: list[Stack], kind: str, key: str) -> set[str]:
    return {one.properties[key] for stack in stacks for one in stack.resources(kind)}


def test_a_second_region_takes_no_name_of_the_first(produs: list[Stack], assemblies: dict[str, Path]) -> None:
    """Roles and buckets have one namespace for all regions."""
    prod = read(assemblies["prod"])
    for kind, key in (("AWS::IAM::Role", "RoleName"), ("AWS::S3::Bucket", "BucketName")):
        here, there = names(prod, kind, key), names(produs, kind, key)
        assert len(here) == len(there) > 0
        assert here.isdisjoint(there)


def test_it_is_set_up_as_the_one_that_it_is_like(produs: list[Stack]) -> None:
    groups = [one.properties for stack in produs for one in stack.resources("AWS::Logs::LogGroup")]
    assert {group["RetentionInDays"] for group in groups} == {365}
    assert findings(produs) == []
    assert "eu-west-1" not in json.dumps([stack.template for stack in produs])


@pytest.mark.parametrize("stage", ["staging", "prod-2", "Prod", "x"])
def test_a_stage_that_nobody_declared_is_refused(stage: str) -> None:
    with pytest.raises(ConfigurationError, match="expected one of local, dev, prod, or a name like"):
        settings_for(stage, **PLACE)


def test_a_name_with_a_dash_is_refused_though_it_is_declared() -> None:
    with pytest.raises(ConfigurationError, match="expected one of"):
        settings_for("prod-2", **PLACE, options=options_of({"prod-2": {"like": "prod"}}, "prod-2"))


def test_a_workload_without_an_instance_for_the_stage_is_named(tmp_path: Path) -> None:
    settings = settings_for("staging", **PLACE, options=options_of({"staging": {"like": "dev"}}, "staging"))
    with pytest.raises(WorkloadError, match=r"training\.instance: expected an instance for the stage staging"):
        build(settings, workloads=[workload(tmp_path, "produs")], outdir=str(tmp_path / "out"))


def test_stage_and_workload_share_the_length_of_their_names(tmp_path: Path) -> None:
    stage, name = "productions", "w" * 20
    settings = settings_for(stage, **PLACE, options=options_of({stage: {"like": "prod"}}, stage))
    with pytest.raises(WorkloadError, match=f"makes {LONGEST_PREFIX} letters at most"):
        build(settings, workloads=[workload(tmp_path, stage, name)], outdir=str(tmp_path / "out"))
    longest = WorkloadNames(platform=Platform(stage="prod", **PLACE), workload="w" * 24)
    assert len(longest.prefix) == LONGEST_PREFIX


NETWORK: dict[str, Any] = OWN["network"]
ONE: str = NETWORK["subnets"][0]
KEYS = ", ".join(Options.model_fields)
TWO = "stages.dev.network.subnets: expected two to six subnets, each in a zone of its own, got "


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"network": {**NETWORK, "subnets": [ONE]}}, f"{TWO}['{ONE}']"),
        ({"network": {**NETWORK, "subnets": [ONE, ONE]}}, f"{TWO}['{ONE}', '{ONE}']"),
        ({"network": {**NETWORK, "subnets": ONE}}, f"{TWO}'{ONE}'"),
        (
            {"network": {"subnets": NETWORK["subnets"]}},
            "stages.dev.network.security_group: expected a value, got 'none'",
        ),
        (
            {"network": {**NETWORK, "sg": "x"}},
            "stages.dev.network.sg: expected one of subnets, security_group, got 'sg'",
        ),
        ({"network": ONE}, f"stages.dev.network: expected an object with some of subnets, security_group, got '{ONE}'"),
        ({"keyarn": "x"}, f"stages.dev.keyarn: expected one of {KEYS} (did you mean 'key_arn'?), got 'keyarn'"),
        ({"machine_log": "all"}, "stages.dev.machine_log: expected 'data', 'events' or 'errors', got 'all'"),
        ({"tags": ["a"]}, "stages.dev.tags: expected an object, got ['a']"),
        ({"tags": {"millrace:workload": "mine"}}, "stages.dev.tags: expected other keys than"),
        ({"tags": {"a": "*"}}, "stages.dev.tags.a"),
        ({"tracking": {}}, "stages.dev.tracking: expected a valid string, got {}"),
        ({"tracking": "appp"}, "stages.dev.tracking: expected app (which the platform makes), or the ARN"),
        ({"alarm_email": "team"}, "stages.dev.alarm_email: expected an e-mail address, got 'team'"),
        (
            {"prediction_provisioned": 2, "prediction_reserved": 1},
            "stages.dev: expected prediction_reserved of at least",
        ),
        ([], f"stages.dev: expected an object with some of {KEYS}, got []"),
    ],
)
def test_a_wrong_choice_is_one_sentence(chosen: object, told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        options_of({"dev": chosen}, "dev")
    assert str(refused.value).startswith(f"context: {told}")


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
