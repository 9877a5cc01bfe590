"""The parity ledger: each thing that an assembly holds is executed, simulated or not covered; there is no fourth kind.

`python -m infra.local.ledger cdk.out --write PARITY.md` writes it down; what has no row is an error.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local import parity
from infra.local.identity import is_decided
from infra.local.parity import Row, Status
from infra.local.policies import OPERATORS

GROUPS = (
    "resource type",
    "state",
    "task",
    "intrinsic function",
    "call",
    "policy feature",
    "condition key",
    "condition operator",
)


SDK_NAMES = {
    "applicationautoscaling": "application-autoscaling",
    "cloudwatchlogs": "logs",
    "eventbridge": "events",
    "sagemakerruntime": "sagemaker",
    "sfn": "states",
}
"""Services whose name in `aws-sdk:` integrations is not their prefix in actions."""


class LedgerGapError(Exception):
    """The assembly holds things without a row in `infra.local.parity`; the message lists them."""


@dataclass(frozen=True, kw_only=True, order=True)
class Thing:
    """Something that the assembly holds."""

    group: str
    """One of GROUPS."""
    name: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of the ledger."""

    thing: Thing
    status: Status
    sentence: str
    stacks: tuple[str, ...]


def ledger(assembly: Path) -> list[Entry]:
    """The lines of the ledger, by group and name.

    Raises LedgerGapError when a thing of the assembly has no row."""
    found: dict[Thing, set[str]] = defaultdict(set)
    templates = sorted(assembly.glob("*.template.json"))
    if not templates:
        raise LedgerGapError(f"{assembly} holds no template: expected the folder that `cdk synth` made")
    for template in templates:
        for thing in things(json.loads(template.read_text())):
            found[thing].add(template.name.removesuffix(".template.json"))
    rows = {thing: row_of(thing) for thing in found}
    if missing := sorted(thing for thing, row in rows.items() if row is None):
        raise LedgerGapError("no row for " + ", ".join(f"{thing.group} {thing.name}" for thing in missing))
    return [
        Entry(thing=thing, status=row[0], sentence=row[1], stacks=tuple(sorted(found[thing])))
        for thing, row in sorted(rows.items(), key=lambda one: (GROUPS.index(one[0].group), one[0].name))
        if row is not None
    ]


def row_of(thing: Thing) -> Row | None:
    """The row of a thing, or None where nobody has decided about it."""
    tables: Mapping[str, Mapping[str, Row]] = {
        "resource type": parity.RESOURCE_TYPES,
        "state": parity.STATE_TYPES,
        "intrinsic function": parity.INTRINSIC_FUNCTIONS,
        "policy feature": parity.POLICY_FEATURES,
    }
    if thing.group in tables:
        return tables[thing.group].get(thing.name)
    if thing.group == "call":
        service = thing.name.partition(":")[0]
        return parity.CALLS.get(thing.name) or parity.SERVICES.get(service)
    if thing.group == "task":
        return _row_of_task(thing.name)
    if thing.group == "condition key":
        return _row_of_key(thing.name)
    return _row_of_operator(thing.name)


def _row_of_task(name: str) -> Row | None:
    if not name.startswith("aws-sdk:"):
        return parity.TASKS.get(name)
    service = name.split(":")[1]
    return parity.SERVICES.get(SDK_NAMES.get(service, service))


def _row_of_key(name: str) -> Row:
    if is_decided(name):
        return Status.EXECUTED, "Decided from the call, the caller or the clock."
    return Status.NOT_COVERED, "Not decided: an Allow with it is void, a Deny with it bites."


def _row_of_operator(name: str) -> Row:
    plain = name.partition(":")[2] or name
    if plain.removesuffix("IfExists") in {*OPERATORS, "Null"}:
        return Status.EXECUTED, "Decided as AWS decides it."
    return Status.NOT_COVERED, "Not decided: an Allow with it is void, a Deny with it bites."


def things(template: Mapping[str, Any]) -> Iterator[Thing]:
    """What one template holds."""
    for resource in template["Resources"].values():
        kind, properties = resource["Type"], resource.get("Properties", {})
        yield Thing(group="resource type", name=kind)
        if kind == "AWS::StepFunctions::StateMachine":
            yield from _of_machine(definition_of(properties))
        yield from _of_policies(kind, properties)


def definition_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """A machine's definition, with a text in the place of each reference.

    Raises LedgerGapError when it lies in a file of its own."""
    if "Definition" in properties:
        return dict(properties["Definition"])
    if "DefinitionString" not in properties:
        raise LedgerGapError("a state machine's definition lies in S3: the ledger reads those in the template")
    definition: dict[str, Any] = json.loads(_plain(properties["DefinitionString"]))
    return definition


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and "Fn::Join" in value:
        separator, parts = value["Fn::Join"]
        return str(separator).join(_plain(part) for part in parts)
    if isinstance(value, dict) and value.get("Ref") == "AWS::Partition":
        return "aws"
    return "reference"


def _of_machine(definition: Mapping[str, Any]) -> Iterator[Thing]:
    if definition.get("QueryLanguage") == "JSONata":
        yield Thing(group="state", name="JSONata")
    for state in definition["States"].values():
        yield from _of_state(state)
    for name in re.findall(r"States\.[A-Z]\w*(?=\()", json.dumps(definition)):
        yield Thing(group="intrinsic function", name=name)


def _of_state(state: Mapping[str, Any]) -> Iterator[Thing]:
    inner = state.get("ItemProcessor") or state.get("Iterator")
    mode = (inner or {}).get("ProcessorConfig", {}).get("Mode", "INLINE")
    yield Thing(group="state", name="Map (DISTRIBUTED)" if mode == "DISTRIBUTED" else state["Type"])
    for feature in ("Retry", "Catch"):
        if feature in state:
            yield Thing(group="state", name=feature)
    if state["Type"] == "Task":
        yield Thing(group="task", name=_task(state["Resource"]))
    for part in [inner] if inner else state.get("Branches", []):
        yield from _of_machine(part)


def _task(resource: str) -> str:
    """`sagemaker:createTrainingJob.sync` of its ARN; a function's own ARN is the old way to call it."""
    _, found, name = resource.partition(":states:")
    return name.lstrip(":").replace("reference:", "") if found else "lambda:invoke"


def _of_policies(kind: str, properties: Mapping[str, Any]) -> Iterator[Thing]:
    for feature, document in _documents(kind, properties):
        yield Thing(group="policy feature", name=feature)
        statements = document["Statement"]
        for statement in statements if isinstance(statements, list) else [statements]:
            yield from _of_statement(statement, calls=feature == "identity policy")


def _documents(kind: str, properties: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The policy documents of a resource, each with the feature that it is."""
    if kind == "AWS::IAM::Role":
        yield "trust policy", properties["AssumeRolePolicyDocument"]
        for policy in properties.get("Policies", []):
            yield "identity policy", policy["PolicyDocument"]
        if "PermissionsBoundary" in properties:
            yield "permissions boundary", {"Statement": []}
    elif kind in {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"}:
        yield "identity policy", properties["PolicyDocument"]
    elif kind == "AWS::KMS::Key":
        yield f"resource policy {kind}", properties["KeyPolicy"]
    elif kind == "AWS::Events::EventBusPolicy":
        yield f"resource policy {kind}", {"Statement": properties.get("Statement", [])}
    elif kind == "AWS::Lambda::Permission":
        yield f"resource policy {kind}", {"Statement": []}
    elif kind == "AWS::ECR::Repository" and "RepositoryPolicyText" in properties:
        yield f"resource policy {kind}", properties["RepositoryPolicyText"]
    elif isinstance(properties.get("PolicyDocument"), dict):
        yield f"resource policy {kind}", properties["PolicyDocument"]
    elif isinstance(properties.get("PolicyDocument"), str):
        yield f"resource policy {kind}", json.loads(properties["PolicyDocument"])


def _of_statement(statement: Mapping[str, Any], *, calls: bool) -> Iterator[Thing]:
    for element in ("Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal"):
        if element in statement:
            yield Thing(group="policy feature", name=element)
    if statement["Effect"] == "Deny":
        yield Thing(group="policy feature", name="Deny")
    actions = statement.get("Action", [])
    for action in [actions] if isinstance(actions, str) else actions:
        if action == "iam:PassRole":
            yield Thing(group="policy feature", name=action)
        elif calls:
            yield Thing(group="call", name=action)
    for operator, keys in statement.get("Condition", {}).items():
        yield Thing(group="condition operator", name=operator)
        for key in keys:
            yield Thing(group="condition key", name=key)


def as_markdown(entries: list[Entry]) -> str:
    """The ledger as a page: a table per group."""
    counts = {status: sum(entry.status == status for entry in entries) for status in Status}
    lines = [
        "# Parity ledger",
        "",
        "Generated by `python -m infra.local.ledger cdk.out --write PARITY.md`: what the templates hold, and what",
        "the local cloud does of it. *Executed* happens as on AWS; *simulated* is accepted and happens in part, the",
        "sentence says which; *not covered* is refused by name.",
        "",
        ", ".join(f"{count} {status}" for status, count in counts.items()) + ".",
    ]
    for group in GROUPS:
        rows = [entry for entry in entries if entry.thing.group == group]
        if rows:
            lines += ["", f"## {group.capitalize()}s", "", "| name | status | what happens here |", "|---|---|---|"]
            lines += [f"| `{entry.thing.name}` | {entry.status} | {entry.sentence} |" for entry in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.local.ledger", description=__doc__)
    parser.add_argument("assembly", type=Path, help="the folder that `cdk synth` made (cdk.out)")
    parser.add_argument("--write", type=Path, metavar="PARITY.md", help="write the page there instead of printing it")
    arguments = parser.parse_args()
    try:
        page = as_markdown(ledger(arguments.assembly))
    except LedgerGapError as gap:
        sys.exit(f"ledger: {gap}")
    if arguments.write:
        arguments.write.write_text(page)
    else:
        print(page)


if __name__ == "__main__":
    main()
