"""Two workloads in one deployment: names, limits, and no way from one to the rows of the other.

The second has the longest name that a workload may have, and columns with blanks and dots."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from millrace.console.new.proposal import propose
from millrace.console.new.read import read_source
from millrace.console.new.roles import Choices
from millrace.console.new.writing import write
from millrace.infra.app import build
from millrace.infra.settings import settings_for
from millrace.infra.stacks.catalogue import ROOMS
from millrace.names import WorkloadNames
from millrace.workload.load import SUITE, workload_folders

LONGEST = "abcdefgh_jklmnopqrstuvwx"  # pragma: allowlist secret
SETTINGS = settings_for("local", account="123456789012", region="eu-west-1")
NAMES = {
    "AWS::IAM::Role": ("RoleName", 64),
    "AWS::Lambda::Function": ("FunctionName", 64),
    "AWS::SQS::Queue": ("QueueName", 80),
    "AWS::StepFunctions::StateMachine": ("StateMachineName", 80),
    "AWS::Events::Rule": ("Name", 64),
    "AWS::Scheduler::Schedule": ("Name", 64),
    "AWS::CloudWatch::Alarm": ("AlarmName", 255),
    "AWS::SageMaker::ModelPackageGroup": ("ModelPackageGroupName", 63),
    "AWS::Logs::LogGroup": ("LogGroupName", 512),
    "AWS::Glue::Table": ("TableInput.Name", 255),
}
"""Where the name of a resource stands, and how long it may be."""
MOST_RULES = 300
"""Of an event bus: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html."""
MOST_RESOURCES, MOST_BYTES = 500, 1_000_000
"""Of a template: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """`electricity` and a workload proposed from some of its rows, told otherwise."""
    root = tmp_path_factory.mktemp("workloads")
    shutil.copytree(SUITE / "workloads" / "electricity", root / "electricity")
    rows = pq.read_table(SUITE / "workloads" / "electricity" / "sample" / "elec2.parquet").slice(0, 960)
    renamed = rows.rename_columns([f"The {name.replace('_', '.')}" for name in rows.column_names])
    pq.write_table(renamed, root / "rows.parquet")
    choices = Choices(name=LONGEST, label="The class")
    proposal = propose(read_source(root / "rows.parquet"), choices, today=date(2024, 7, 1))
    write(proposal, root, root / "drops", pieces=2, force=False)
    return workload_folders(root)


@pytest.fixture(scope="module")
def templates(folders: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The text of each template by its stack's name."""
    out = tmp_path_factory.mktemp("assembly")
    build(SETTINGS, workloads=folders, outdir=str(out)).synth()
    return {path.name.removesuffix(".template.json"): path.read_text() for path in out.glob("*.template.json")}


def resources(templates: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for stack, text in templates.items():
        for resource in json.loads(text)["Resources"].values():
            yield stack, resource


def name_of(resource: dict[str, Any]) -> Any:
    place, _ = NAMES[resource["Type"]]
    value: Any = resource["Properties"]
    for part in place.split("."):
        value = value[part]
    return value


def clashes(templates: dict[str, str]) -> list[tuple[str, str]]:
    """Kind and name of what two resources are called."""
    named = [(r["Type"], name_of(r)) for _, r in resources(templates) if r["Type"] in NAMES]
    return [found for found, count in Counter(named).items() if count > 1]


def strangers(templates: dict[str, str], mine: str, theirs: str) -> list[str]:
    """Stacks of one workload that name anything of the other."""
    word = re.compile(rf"(?<![a-z0-9]){re.escape(theirs)}(?![a-z0-9])")
    return [stack for stack, text in templates.items() if f"-{mine}-" in stack and word.search(text)]


def test_both_have_all_their_stacks(folders: list[Path], templates: dict[str, str]) -> None:
    stacks = Counter(stack.rpartition("-")[0] for stack in templates)
    ours = [WorkloadNames(platform=SETTINGS.platform, workload=folder.name).prefix for folder in folders]
    assert [stacks[prefix] for prefix in ours] == [len(ROOMS)] * 2


def test_no_two_resources_have_the_same_name(templates: dict[str, str]) -> None:
    assert clashes(templates) == []


def test_a_second_copy_of_a_stack_would_be_noticed(templates: dict[str, str]) -> None:
    stack = next(iter(name for name in templates if name.endswith("-ingestion")))
    assert clashes(templates | {"copy": templates[stack]})


def test_no_name_is_too_long(templates: dict[str, str]) -> None:
    seen = set()
    for stack, resource in resources(templates):
        if resource["Type"] in NAMES:
            seen.add(resource["Type"])
            name, most = name_of(resource), NAMES[resource["Type"]][1]
            assert isinstance(name, str), f"{stack}: {name}"
            assert len(name) <= most, f"{stack}: {name}"
    assert seen == set(NAMES)
    assert len(LONGEST) == 24
    names = WorkloadNames(platform=SETTINGS.platform, workload=LONGEST)
    assert len(names.challenger) <= 63, "of an endpoint"


def test_templates_and_the_bus_are_far_from_their_limits(templates: dict[str, str]) -> None:
    rules = [resource for _, resource in resources(templates) if resource["Type"] == "AWS::Events::Rule"]
    buses = Counter(json.dumps(rule["Properties"].get("EventBusName", "default")) for rule in rules)
    assert max(buses.values()) <= MOST_RULES / 3, "room for a handful of workloads"
    for stack, text in templates.items():
        assert len(json.loads(text)["Resources"]) <= MOST_RESOURCES / 2, stack
        assert len(text) <= MOST_BYTES / 2, stack


def test_neither_names_anything_of_the_other(templates: dict[str, str]) -> None:
    other = LONGEST.replace("_", "-")
    for mine, theirs in (("electricity", other), ("electricity", LONGEST), (other, "electricity")):
        assert strangers(templates, mine, theirs) == []


def test_a_statement_on_the_other_would_be_noticed(templates: dict[str, str]) -> None:
    stack = next(name for name in templates if name.endswith("-electricity-serving"))
    leaking = templates[stack].replace("electricity/decisions", f"{LONGEST}/decisions")
    leaking = leaking if leaking != templates[stack] else templates[stack].replace("electricity", LONGEST, 1)
    assert strangers(templates | {stack: leaking}, "electricity", LONGEST) == [stack]
