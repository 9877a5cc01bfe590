"""Reads what a security group of a template lets through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from millrace.infra.rules.assembly import Resource, Stack, text

EVERYWHERE = "0.0.0.0/0"


def ways(stack: Stack, group: Resource, direction: Literal["Ingress", "Egress"]) -> Iterator[Mapping[str, Any]]:
    """The rules of a group: its own, and those that are resources. Without any, EC2 lets all out and nothing in."""
    own = group.properties.get(f"SecurityGroup{direction}", [])
    others = [
        one.properties
        for one in stack.resources(f"AWS::EC2::SecurityGroup{direction}")
        if text(one.properties["GroupId"]) == id_of(group)
    ]
    all_out = [{"IpProtocol": "-1", "CidrIp": EVERYWHERE}] if direction == "Egress" else []
    yield from [*own, *others] or all_out


def id_of(group: Resource) -> str:
    """The group's id, as `text` writes it: `<Jobs.GroupId>`."""
    return f"<{group.logical_id}.GroupId>"
