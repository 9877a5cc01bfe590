"""Foresees what a change of a stack's template or parameters would do to each of its resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from localcloud.cloudformation.intrinsics import references
from localcloud.cloudformation.stack_resources import KINDS, StackResources


def foreseen(before: StackResources, after: StackResources) -> list[dict[str, Any]]:
    """A ResourceChange for each resource that would be added, modified or removed, judged by the templates.

    `Replacement` is `True`, `False` or `Conditional`. As on AWS it is `Conditional` if it depends on a reference, whose
    value is known only after the execution."""
    moved = {key for key, value in after.resolved_parameters.items() if before.resolved_parameters.get(key) != value}
    # A replaced resource gets another id. That changes all resources that refer to it, and may replace them in turn.
    # So begin with the parameters that changed, and add the replaced resources until nothing is added.
    while True:
        changes = list(_changes(before, after, moved))
        replaced = {one["LogicalResourceId"] for one in changes if one.get("Replacement", "False") != "False"}
        if replaced <= moved:
            return changes
        moved |= replaced


def _changes(before: StackResources, after: StackResources, moved: set[str]) -> Iterator[dict[str, Any]]:
    """The changes, if the parameters and resources in `moved` get other values."""
    live = {one.logical_resource_id: one for one in before.values()}
    was = {key: one for key, one in before.definitions.items() if key in live}
    for key, definition in after.definitions.items():
        change = {"LogicalResourceId": key, "ResourceType": definition["Type"], "Scope": [], "Details": []}
        if key not in was:
            yield {**change, "Action": "Add"}
            continue
        names = list(_properties_moved(was[key], definition, moved))
        if not names and was[key] == definition:
            continue
        replacement = _replacement(was[key], definition, names)
        yield {
            **change,
            "Action": "Modify",
            "PhysicalResourceId": live[key].physical_resource_id,
            "Replacement": replacement,
            "Scope": ["Properties"] if names else ["Metadata"],
            "Details": [_detail(name, definition, replacement) for name in names],
        }
    for key in was.keys() - after.definitions.keys():
        gone = {"LogicalResourceId": key, "ResourceType": was[key]["Type"], "Scope": [], "Details": []}
        yield {**gone, "Action": "Remove", "PhysicalResourceId": live[key].physical_resource_id}


def _properties_moved(was: Mapping[str, Any], now: Mapping[str, Any], moved: set[str]) -> Iterator[str]:
    """The properties whose text differs, or that refer to a name in `moved`."""
    old, new = was.get("Properties", {}), now.get("Properties", {})
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name) or references(new.get(name)) & moved:
            yield name


def _replacement(was: Mapping[str, Any], now: Mapping[str, Any], names: list[str]) -> str:
    """`True`, `False` or `Conditional`: whether a change of these properties replaces the resource."""
    kind = KINDS.get(now["Type"])
    fixed = kind.fixed if kind else ()
    if was["Type"] != now["Type"]:
        return "True"
    replacing = [name for name in names if name in fixed or "*" in fixed]
    if not replacing:
        return "False"
    new = now.get("Properties", {})
    return "Conditional" if all(references(new.get(name)) for name in replacing) else "True"


def _detail(name: str, definition: Mapping[str, Any], replacement: str) -> dict[str, Any]:
    """The change of one property, as DescribeChangeSet answers it."""
    kind = KINDS.get(definition["Type"])
    fixed = kind.fixed if kind else ()
    recreated = {"True": "Always", "Conditional": "Conditionally"}.get(replacement, "Never")
    is_fixed = name in fixed or "*" in fixed
    return {
        "Target": {
            "Attribute": "Properties",
            "Name": name,
            "RequiresRecreation": recreated if is_fixed else "Never",
        },
        "Evaluation": "Dynamic" if references(definition.get("Properties", {}).get(name)) else "Static",
        "ChangeSource": "DirectModification",
    }
