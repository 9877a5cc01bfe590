"""Every rule of the catalogue: what it lets pass, what it finds, and that dev and prod break none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.infra.app import NOT_ON_THE_LAPTOP
from millrace.infra.rules.assembly import Stack, read
from millrace.infra.rules.catalogue import TEMPLATE_RULES, findings

HERE = Path(__file__).parent
LONGEST_WORKLOAD = "w" * 24
"""What `millrace.workload.declaration` lets a workload be called at most; a test below holds the two together."""


def stack(fixture: dict[str, Any]) -> Stack:
    """The fixture's resources, and its states as a machine."""
    resources = dict(fixture.get("resources", {}))
    if states := fixture.get("states"):
        definition = {"StartAt": next(iter(states)), "States": states}
        if (timeout := fixture.get("timeout", 3600)) is not None:
            definition["TimeoutSeconds"] = timeout
        properties = {"DefinitionString": json.dumps(definition)}
        resources["Machine"] = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    text = json.dumps(resources).replace("{repeated}", "x" * fixture.get("repeat", 0))
    template = {"Parameters": fixture.get("parameters", {}), "Resources": json.loads(text)}
    return Stack(name=fixture.get("stack", "fixture"), template=template)


def fixtures(kind: str) -> list[Any]:
    return [
        pytest.param(rule, fixture, id=f"{rule}: {name}")
        for rule in TEMPLATE_RULES
        for name, fixture in yaml.safe_load((HERE / f"{rule}.yaml").read_text())[kind].items()
    ]


def test_every_rule_has_a_passing_and_a_failing_fixture_and_every_fixture_a_rule() -> None:
    assert {path.stem for path in HERE.glob("*.yaml")} == set(TEMPLATE_RULES)
    for kind in ("passing", "failing"):
        assert {one.values[0] for one in fixtures(kind)} == set(TEMPLATE_RULES)


@pytest.mark.parametrize(("rule", "fixture"), fixtures("passing"))
def test_a_rule_lets_pass(rule: str, fixture: dict[str, Any]) -> None:
    assert list(map(str, TEMPLATE_RULES[rule]([stack(fixture)]))) == []


@pytest.mark.parametrize(("rule", "fixture"), fixtures("failing"))
def test_a_rule_finds(rule: str, fixture: dict[str, Any]) -> None:
    found = list(map(str, TEMPLATE_RULES[rule]([stack(fixture)])))
    assert len(found) == len(fixture["finds"]), found
    for said, sentence in zip(fixture["finds"], found, strict=True):
        assert said in sentence


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_a_stage_breaks_no_rule(assemblies: dict[str, Path], stage: str) -> None:
    assert findings(read(assemblies[stage]), but=NOT_ON_THE_LAPTOP if stage == "local" else ()) == []


def test_another_workload_breaks_no_rule(other_workloads: Path) -> None:
    assert findings(read(other_workloads)) == []


def test_the_longest_workload_breaks_no_rule(assemblies: dict[str, Path]) -> None:
    assert findings([renamed(one, LONGEST_WORKLOAD) for one in read(assemblies["prod"])]) == []


def renamed(stack: Stack, workload: str) -> Stack:
    text = json.dumps({stack.name: stack.template}).replace("electricity", workload)
    ((name, template),) = json.loads(text).items()
    return Stack(name=name, template=template)


def test_no_workload_may_have_a_longer_name() -> None:
    from millrace.workload.declaration import Workload

    pattern = Workload.model_json_schema()["properties"]["name"]["pattern"]
    assert pattern == f"^[a-z][a-z0-9_]{{1,{len(LONGEST_WORKLOAD) - 1}}}$"


def test_the_rules_see_what_the_stages_hold(assemblies: dict[str, Path]) -> None:
    """Against a rule that passes because it meets nothing: without these switches each of them finds something."""
    stacks = read(assemblies["prod"])
    for key, rule in (
        ("KmsMasterKeyId", "customer-key"),
        ("iam:PassedToService", "pass-role"),
        ("DeadLetterConfig", "asynchronous-function"),
        ("RecursiveLoop", "recursive-loop"),
    ):
        assert list(TEMPLATE_RULES[rule]([without(one, key) for one in stacks])), rule


def without(stack: Stack, key: str) -> Stack:
    """The stack with this key under another name, also inside of definitions."""
    return Stack(name=stack.name, template=json.loads(json.dumps(stack.template).replace(key, "Spoilt")))


def test_a_folder_without_templates_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected \*\.template\.json of an assembly, found none"):
        read(tmp_path)


def test_a_template_of_an_earlier_synthesis_is_not_read(tmp_path: Path) -> None:
    for name in ("now", "before"):
        (tmp_path / f"{name}.template.json").write_text("{}")
    artifact = {"type": "aws:cloudformation:stack", "properties": {"templateFile": "now.template.json"}}
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": {"now": artifact}}))
    assert [stack.name for stack in read(tmp_path)] == ["now"]
