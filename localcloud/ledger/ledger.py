"""Writes the parity ledger: each feature that an assembly uses is executed, simulated or not covered.

`python -m localcloud.ledger cdk.out --write PARITY.md` writes the tables of one assembly or several into a page. A
feature without a row in `parity.py` is an error: there is no fourth kind.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from botocore import xform_name

from localcloud.cloudformation.intrinsics import CONDITIONS, KNOWN
from localcloud.cloudformation.resources import custom, of_moto
from localcloud.iam.identity import GLOBAL_KEYS, is_decided
from localcloud.iam.policies import OPERATORS
from localcloud.kernel import quotas
from localcloud.ledger import parity
from localcloud.ledger.inventory import Feature, LedgerGapError, features, placed
from localcloud.ledger.parity import Row, Status
from localcloud.stepfunctions import tasks

MARK = "<!-- ledger -->"
"""Behind this line of a page stands what is written anew; what people write stands before it."""

PREFIXES = tasks.SDK_NAMES | {"sagemakerruntime": "sagemaker", "sfn": "states"}
"""The prefix in actions of services whose name in `aws-sdk:` integrations differs from it."""


def ledger(*assemblies: Path) -> dict[Feature, Row]:
    """The row of each feature, in the order of the groups and then by name.

    Raises LedgerGapError if a feature of the assemblies has no row, or if an assembly holds no template."""
    found = {one for template in _templates(assemblies) for one in features(json.loads(template.read_text()))}
    rows = {one: row_of(one) for one in sorted(found, key=lambda one: ([*ROWS].index(one.group), one.name))}
    if missing := sorted(feature for feature, row in rows.items() if row is None):
        raise LedgerGapError("no row for " + ", ".join(f"{feature.group} {feature.name}" for feature in missing))
    return {feature: row for feature, row in rows.items() if row is not None}


def _templates(assemblies: Iterable[Path]) -> Iterator[Path]:
    for assembly in assemblies:
        found = sorted(assembly.glob("*.template.json"))
        if not found:
            raise LedgerGapError(f"{assembly} holds no template: expected the folder that `cdk synth` made")
        yield from found


def row_of(feature: Feature) -> Row | None:
    """The row of a feature, or None if nobody has decided about it yet."""
    return ROWS[feature.group](feature.name)


def _row_of_type(name: str) -> Row | None:
    if name.startswith(custom.PREFIXES):
        return Status.EXECUTED, "Answered by an object at `ResponseURL`; a function that fails is not called again."
    return parity.RESOURCE_TYPES.get(name) or (parity.OF_MOTO if of_moto.find(name) else None)


def _row_of_template(name: str) -> Row | None:
    if name in KNOWN or name in CONDITIONS:
        return Status.EXECUTED, ""
    return parity.TEMPLATE_FEATURES.get(name)


def _row_of_task(name: str) -> Row | None:
    # An `aws-sdk` integration is the call of the same name: `aws-sdk:sfn:startExecution` is `states:StartExecution`.
    if not name.startswith("aws-sdk:"):
        return parity.TASKS.get(name)
    _, service, action = name.split(":", 2)
    known = parity.CALLS.get(f"{PREFIXES.get(service, service)}:{action[:1].upper()}{action[1:]}")
    return known or (parity.OF_MOTO if _is_answered_by_moto(service, action) else None)


def _is_answered_by_moto(service: str, action: str) -> bool:
    try:
        module = import_module(f"moto.{service}.responses")
    except ModuleNotFoundError:
        return False
    name = xform_name(action)
    return any(name in vars(one) for one in vars(module).values() if isinstance(one, type))


def _row_of_key(name: str) -> Row | None:
    if name.lower() in GLOBAL_KEYS:
        said = GLOBAL_KEYS[name.lower()]
        return Status.EXECUTED, f"{said[:1].upper()}{said[1:]}."
    return (Status.EXECUTED, "") if is_decided(name) else None


def _row_of_operator(name: str) -> Row | None:
    # `ForAllValues:StringLikeIfExists` is the operator `StringLike`.
    plain = (name.partition(":")[2] or name).removesuffix("IfExists")
    return (Status.EXECUTED, "") if plain in {*OPERATORS, "Null"} else None


ROWS: Mapping[str, Callable[[str], Row | None]] = {
    "resource type": _row_of_type,
    "template feature": _row_of_template,
    "state": parity.STATE_TYPES.get,
    "state field": parity.STATE_FIELDS.get,
    "context field": parity.CONTEXT_FIELDS.get,
    "task": _row_of_task,
    "intrinsic function": parity.INTRINSIC_FUNCTIONS.get,
    "event pattern operator": parity.PATTERN_OPERATORS.get,
    "call": parity.CALLS.get,
    "policy feature": parity.POLICY_FEATURES.get,
    "condition key": _row_of_key,
    "condition operator": _row_of_operator,
}
"""What gives the row of a feature by its name, for each group in the order of the page."""


def gaps(template: Mapping[str, Any]) -> list[str]:
    """What a template holds that is not covered, policies left out: `["resource type AWS::WAFv2::WebACL (Wall)"]`."""
    try:
        return uncovered(placed(template))
    except LedgerGapError as gap:
        return [str(gap)]


def uncovered(features: Iterable[tuple[str, Feature]]) -> list[str]:
    """Those features that are not covered, each with the places where it stands."""
    found: dict[Feature, set[str]] = defaultdict(set)
    for place, feature in features:
        row = row_of(feature)
        if row is None or row[0] is Status.NOT_COVERED:
            found[feature].add(place)
    return [f"{one.group} {one.name} ({', '.join(sorted(places))})" for one, places in sorted(found.items())]


def as_markdown(found: Mapping[Feature, Row]) -> str:
    """The ledger as text: its counts, then a table for each group, and the quotas."""
    lines = ["| | " + " | ".join(Status) + " |", "|---|---:|---:|---:|"]
    groups = {group: {one.name: row for one, row in found.items() if one.group == group} for group in ROWS}
    for group, rows in groups.items():
        counts = (sum(one is status for one, _ in rows.values()) for status in Status)
        lines.append(f"| {group}s | " + " | ".join(map(str, counts)) + " |")
    for group, rows in groups.items():
        if rows:
            lines += ["", f"## {group.capitalize()}s", "", "| name | status | what differs |", "|---|---|---|"]
            lines += _merged(rows)
    lines += ["", "## Quotas", "", *quotas.as_markdown()]
    return "\n".join(lines) + "\n"


def _merged(rows: Mapping[str, Row]) -> Iterator[str]:
    """A line for each sentence, with the names of all features that share it."""
    alike: dict[Row, list[str]] = defaultdict(list)
    # In this order: not covered, simulated, executed.
    for name, row in sorted(rows.items(), key=lambda one: (-list(Status).index(one[1][0]), one[0])):
        alike[row].append(name)
    for (status, sentence), names in alike.items():
        yield f"| {', '.join(f'`{name}`' for name in names)} | {status} | {sentence} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m localcloud.ledger", description=__doc__)
    parser.add_argument("assembly", type=Path, nargs="+", help="a folder that `cdk synth` made (cdk.out)")
    parser.add_argument("--write", type=Path, metavar="PARITY.md", help="write the page there instead of printing it")
    arguments = parser.parse_args()
    try:
        page = as_markdown(ledger(*arguments.assembly))
    except LedgerGapError as gap:
        sys.exit(f"ledger: {gap}")
    if arguments.write:
        kept = arguments.write.read_text().partition(MARK)[0] if arguments.write.exists() else ""
        arguments.write.write_text(f"{kept}{MARK}\n\n{page}")
    else:
        print(page)
