"""The parity ledger: each thing that an assembly holds is executed, simulated or not covered; there is no fourth kind.

`python -m infra.local.ledger cdk.out --write PARITY.md` writes it down, of several assemblies in one; what has no row
is an error.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local import parity
from infra.local.iam.identity import GLOBAL_KEYS, is_decided
from infra.local.iam.policies import OPERATORS
from infra.local.parity import Row, Status, task_name

GROUPS = (
    "resource type",
    "state",
    "task",
    "intrinsic function",
    "event pattern operator",
    "call",
    "policy feature",
    "condition key",
    "condition operator",
)


HEAD = """\
# Parity ledger

The templates that go to AWS also run whole on a laptop. This page says of each thing that they hold, in any stage,
what happens there: what a green run on a laptop has shown, and what only AWS can show. It is generated
(`make parity`); a test fails when it is out of date, or when a template holds something that has no row.

- *executed*: what the platform relies on happens, by the same calls and with the same outcome;
- *simulated*: it is accepted and answered; what it does on AWS happens in part or not at all, the sentence says which;
- *not covered*: it is refused by name, at deployment or when it is called.
"""
LIMITS = """\
## What a green run has shown

- **The templates fit together.** Each resource is made by its service's own API, in the order of the references; a
  type or property that is not known is refused by name.
- **The rights suffice for what runs.** Each call of a function, machine, job, rule or schedule is decided by its role:
  policies with their conditions, the receiver's own policy, the customer key's, trust and `iam:PassRole`. What the
  tables call granted (network interfaces, images, deliveries of logs) is never asked.
- **The loop flows.** Events, queues with dead letters, retries, task tokens, redrive, schedules and alarms carry a file
  from its bucket to a released model and on to the next training.
- **The code has what it needs.** A function sees its bundle, its layers and the SDK, a container sees what its
  Dockerfile copies, and both speak the contracts of Lambda and SageMaker.

## What only AWS can show

- **Signatures.** They are not verified; a role's key and token must belong together. The keys of the operator, who
  deploys and looks, may do everything. There are no session policies, and none of an organisation.
- **Network.** There is none: loopback counts as TLS, subnets and endpoints are settings. Training and processing run
  cut off from it where the kernel lets (`unshare`), elsewhere they do not; functions and serving containers are not
  cut off, the latter listen on loopback only.
- **Encryption.** The right to use a customer key is asked; no byte is encrypted with it.
- **Images and hardware.** No image is built or pulled: what the Dockerfile copies runs on the host's Python, with its
  packages, on its processor. Instance types, GPUs and volumes mean nothing, jobs have one instance, `/opt/ml` is a
  folder that `MILLRACE_ML_ROOT` names.
- **Scarcity.** Spot is never interrupted, capacity never short, no quota or rate is reached, every read is consistent.
- **Limits.** Kept: time and memory of functions, time of jobs, 6 MB to an endpoint, 256 KB to an execution. Not kept:
  payloads of states and functions, the 25,000 events of a history, `/tmp`.
- **Time.** Waits, retries of states, visibility, schedules and alarms follow the cloud's clock, which can be moved;
  what runs takes real seconds. Shortened: a failed delivery is tried again after 0.5, 1 and 2 s (AWS: for a day), an
  asynchronous invocation after 1 and 2 s (AWS: minutes), alarms are judged at once, an endpoint is in service as soon
  as its process answers.
- **Age.** Logs, metrics, items with a TTL and objects with a lifecycle never expire; messages do.
- **Cost, latency, throughput** are those of the host. The stage `local` asks for less besides: no spot, short polls and
  windows (`infra/settings.py`).

Listed is what the templates hold. What else may be deployed has its row in `infra/local/parity.py`."""

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


def ledger(*assemblies: Path) -> list[Entry]:
    """The lines of the ledger, by group and name.

    Raises LedgerGapError when a thing of the assemblies has no row."""
    found: dict[Thing, set[str]] = defaultdict(set)
    for template in _templates(assemblies):
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


def _templates(assemblies: Iterable[Path]) -> Iterator[Path]:
    for assembly in assemblies:
        found = sorted(assembly.glob("*.template.json"))
        if not found:
            raise LedgerGapError(f"{assembly} holds no template: expected the folder that `cdk synth` made")
        yield from found


def row_of(thing: Thing) -> Row | None:
    """The row of a thing, or None where nobody has decided about it."""
    tables: Mapping[str, Mapping[str, Row]] = {
        "resource type": parity.RESOURCE_TYPES,
        "state": parity.STATE_TYPES,
        "intrinsic function": parity.INTRINSIC_FUNCTIONS,
        "event pattern operator": parity.PATTERN_OPERATORS,
        "call": parity.CALLS,
        "policy feature": parity.POLICY_FEATURES,
    }
    if thing.group in tables:
        return tables[thing.group].get(thing.name)
    if thing.group == "task":
        return _row_of_task(thing.name)
    if thing.group == "condition key":
        return _row_of_key(thing.name)
    return _row_of_operator(thing.name)


def _row_of_task(name: str) -> Row | None:
    if not name.startswith("aws-sdk:"):
        return parity.TASKS.get(name)
    _, service, action = name.split(":", 2)
    return parity.CALLS.get(f"{SDK_NAMES.get(service, service)}:{action[:1].upper()}{action[1:]}")


def _row_of_key(name: str) -> Row | None:
    if name.lower() in GLOBAL_KEYS:
        said = GLOBAL_KEYS[name.lower()]
        return Status.EXECUTED, f"{said[:1].upper()}{said[1:]}."
    return (Status.EXECUTED, "Read from the call's parameters.") if is_decided(name) else None


def _row_of_operator(name: str) -> Row | None:
    plain = (name.partition(":")[2] or name).removesuffix("IfExists")
    return (Status.EXECUTED, "Decided as AWS decides it.") if plain in {*OPERATORS, "Null"} else None


def things(template: Mapping[str, Any]) -> Iterator[Thing]:
    """What one template holds."""
    for resource in template["Resources"].values():
        kind, properties = resource["Type"], resource.get("Properties", {})
        yield Thing(group="resource type", name=kind)
        if kind == "AWS::StepFunctions::StateMachine":
            yield from _of_machine(definition_of(properties))
        if kind in {"AWS::Events::Rule", "AWS::Events::Archive"}:
            yield from _of_pattern(properties.get("EventPattern", {}))
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
    if "TimeoutSeconds" in definition:
        yield Thing(group="state", name="TimeoutSeconds")
    for part in (definition, *definition["States"].values()):
        if part.get("QueryLanguage") == "JSONata":
            yield Thing(group="state", name="JSONata")
    for state in definition["States"].values():
        yield from _of_state(state)
    for name in re.findall(r"States\.[A-Z]\w*(?=\()", json.dumps(definition)):
        yield Thing(group="intrinsic function", name=name)


def _of_state(state: Mapping[str, Any]) -> Iterator[Thing]:
    inner = state.get("ItemProcessor") or state.get("Iterator")
    mode = (inner or {}).get("ProcessorConfig", {}).get("Mode", "INLINE")
    yield Thing(group="state", name="Map (DISTRIBUTED)" if mode == "DISTRIBUTED" else state["Type"])
    for feature in ("Retry", "Catch", "TimeoutSeconds", "HeartbeatSeconds"):
        if feature in state:
            yield Thing(group="state", name=feature)
    if state["Type"] == "Task":
        yield Thing(group="task", name=task_name(state["Resource"]))
    for part in [inner] if inner else state.get("Branches", []):
        yield from _of_machine(part)


def _of_pattern(pattern: Any) -> Iterator[Thing]:
    """The operators of an event pattern: the keys of what stands in its lists, and `$or`."""
    if isinstance(pattern, Mapping):
        for key, value in pattern.items():
            if key.startswith("$"):
                yield Thing(group="event pattern operator", name=key)
            yield from _of_pattern(value)
    elif isinstance(pattern, list):
        for one in pattern:
            if isinstance(one, Mapping) and not any(key == "Ref" or key.startswith("Fn::") for key in one):
                yield from (Thing(group="event pattern operator", name=key) for key in one)


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
    """The ledger as a page: what it means, then a table per group, what is not executed first."""
    lines = [HEAD, "| | " + " | ".join(Status) + " |", "|---|---:|---:|---:|"]
    groups = {group: [entry for entry in entries if entry.thing.group == group] for group in GROUPS}
    for group, rows in groups.items():
        counts = (sum(row.status is status for row in rows) for status in Status)
        lines.append(f"| {group}s | " + " | ".join(map(str, counts)) + " |")
    lines += ["", LIMITS]
    for group, rows in groups.items():
        if rows:
            lines += ["", f"## {group.capitalize()}s", "", "| name | status | what happens here |", "|---|---|---|"]
            lines += _merged(rows)
    return "\n".join(lines) + "\n"


def _merged(rows: list[Entry]) -> Iterator[str]:
    """A line for each sentence, with all that it is true of."""
    alike: dict[Row, list[str]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (-list(Status).index(row.status), row.thing.name)):
        alike[row.status, row.sentence].append(row.thing.name)
    for (status, sentence), names in alike.items():
        yield f"| {', '.join(f'`{name}`' for name in names)} | {status} | {sentence} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.local.ledger", description=__doc__)
    parser.add_argument("assembly", type=Path, nargs="+", help="a folder that `cdk synth` made (cdk.out)")
    parser.add_argument("--write", type=Path, metavar="PARITY.md", help="write the page there instead of printing it")
    arguments = parser.parse_args()
    try:
        page = as_markdown(ledger(*arguments.assembly))
    except LedgerGapError as gap:
        sys.exit(f"ledger: {gap}")
    if arguments.write:
        arguments.write.write_text(page)
    else:
        print(page)


if __name__ == "__main__":
    main()
