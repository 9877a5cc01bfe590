"""The templates as they are recorded: every change of one is a difference to review.

Recorded is the stage `dev` with every section and every option that adds something, a file for each stack; of the other
stages what differs from it, and of the other workloads what their roles may do beside. What no rule and no test says
of a template, its record does: `RECORD=1 pytest tests/infra/test_recorded.py` writes it anew."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.infra.rules.assembly import Stack, read
from tests.recorded import compare

RECORDED = Path(__file__).with_name("recorded")
NEUTRAL = (
    (re.compile(r"python3\.\d+"), "PYTHON"),
    (re.compile(r"arm64|x86_64"), "ARCHITECTURE"),
    (re.compile(r"sqlite:\S+"), "FILE"),
    (re.compile(r"[0-9a-f]{12,}[0-9A-F]*|(?<=[a-z])[0-9A-F]{8,}"), "#"),
)
"""What is of this machine, in the local cloud, or a digest of sources."""
LEFT_OUT = {"Metadata", "DependsOn", "Tags", "UpdateReplacePolicy"}
Page = Mapping[str, str]
"""The text of each resource by its type and logical id."""


def page(stack: Stack, stage: str, workload: str) -> Page:
    """The stack's resources; the stage is `STAGE`, and `workload` is `WORKLOAD`."""
    found = {}
    for name, resource in stack.template["Resources"].items():
        if resource["Type"] != "AWS::Lambda::LayerVersion":
            kept = {key: value for key, value in told(resource).items() if key not in LEFT_OUT}
            text = yaml.safe_dump({f"{resource['Type']} {name}": kept}, width=100_000, allow_unicode=True)
            header, _, body = neutral(text, stage, workload).partition("\n")
            found[header] = body
    return found


def told(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The resource with its tags left out, a machine's definition as states and a role's policy as lines."""
    properties = {key: value for key, value in resource.get("Properties", {}).items() if key not in LEFT_OUT}
    if text := properties.pop("DefinitionString", None):
        parts = [text] if isinstance(text, str) else text["Fn::Join"][1]
        definition = "".join(one if isinstance(one, str) else "DEPLOYED" for one in parts)
        properties["Definition"] = json.loads(definition)
    if resource["Type"] == "AWS::IAM::Role" and "Policies" in properties:
        properties["Policies"] = sorted(line for one in properties["Policies"] for line in rights(one))
    return {**resource, "Properties": properties}


def rights(policy: Mapping[str, Any]) -> Iterator[str]:
    """A line for each resource of each statement: `s3:GetObject on arn:… where {…}`."""
    for one in policy["PolicyDocument"]["Statement"]:
        actions, condition = one["Action"], one.get("Condition")
        where = f" where {json.dumps(condition)}" if condition else ""
        for arn in one["Resource"]:
            yield f"{' '.join(actions)} on {arn if isinstance(arn, str) else json.dumps(arn)}{where}"


def neutral(text: str, stage: str, workload: str) -> str:
    text = re.sub(rf"(millrace[-_]?|Millrace/){stage}(?![0-9a-z])|(Valuemillrace){stage}", r"\1\2STAGE", text)
    for pattern, word in NEUTRAL:
        text = pattern.sub(word, text)
    return text.replace(workload, "WORKLOAD").replace(workload.replace("_", "-"), "WORKLOAD")


def differing(before: Page, now: Page) -> str:
    """By resource the lines that differ; of one that is in one page alone, that it is."""
    lines = []
    for header in sorted(before.keys() | now.keys()):
        old, new = before.get(header), now.get(header)
        if old is None or new is None:
            lines.append(f"{'+' if old is None else '-'} {header}")
        elif old != new:
            found = unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
            lines += [f"  {header}", *(line for line in list(found)[2:] if not line.startswith("@@"))]
    return "\n".join(lines)


def pages(assembly: Path, stage: str, workload: str) -> dict[str, Page]:
    """The pages of the stacks of a workload and of those that all workloads share, by the stack's last word."""
    own = (f"millrace-{stage}-{workload.replace('_', '-')}-", f"millrace-{stage}-")
    return {
        one.name.rpartition("-")[2]: page(one, stage, workload)
        for one in read(assembly)
        if one.name.startswith(own[0]) or one.name.removeprefix(own[1]) in ("platform", "audit")
    }


def test_a_stage_with_all_that_may_be_chosen_is_as_recorded(other_workloads: Path) -> None:
    for stack, made in pages(other_workloads, "dev", "electricity").items():
        text = "\n".join(f"{header}\n{body}" for header, body in sorted(made.items()))
        compare(RECORDED / "dev" / f"{stack}.yaml", text)


def test_a_stage_in_an_account_with_a_network_and_a_key_differs_as_recorded(
    assemblies: dict[str, Path], own_resources: Path
) -> None:
    bare, made = (pages(folder, "dev", "electricity") for folder in (assemblies["dev"], own_resources))
    text = "\n".join(f"{stack}\n{differing(bare[stack], made[stack])}" for stack in sorted(made))
    compare(RECORDED / "own-resources.diff", text)


@pytest.mark.parametrize("stage", ["local", "prod"])
def test_another_stage_differs_as_recorded(assemblies: dict[str, Path], other_workloads: Path, stage: str) -> None:
    whole, made = pages(other_workloads, "dev", "electricity"), pages(assemblies[stage], stage, "electricity")
    assert made.keys() == whole.keys()
    text = "\n".join(f"{stack}\n{differing(whole[stack], made[stack])}" for stack in sorted(made))
    compare(RECORDED / f"{stage}.diff", text)


def test_roles_of_another_workload_differ_as_recorded(other_workloads: Path) -> None:
    whole, text = pages(other_workloads, "dev", "electricity"), []
    for workload in ("air_quality", "income", "xray"):
        made = pages(other_workloads, "dev", workload)
        for stack in sorted(made):
            roles = [
                {key: one for key, one in each.items() if "IAM::Role" in key} for each in (whole[stack], made[stack])
            ]
            text += [f"{workload} {stack}", differing(*roles)]
    compare(RECORDED / "workloads.diff", "\n".join(text))
