"""Reads what a security group of a template lets through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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


def lets(way: Mapping[str, Any], *protocols: str, port: int = 0) -> bool:
    """Whether the way lets this protocol through, by any of its names, and the port if it has one."""
    ports = not port or int(way.get("FromPort", 0)) <= port <= int(way.get("ToPort", 65_535))
    return str(way["IpProtocol"]) == "-1" or (str(way["IpProtocol"]) in protocols and ports)


def leads_among(way: Mapping[str, Any], groups: Iterable[str], networks: Iterable[Any]) -> bool:
    """Whether the way leads to or from one of these groups, by their ids, one of these blocks, or everywhere."""
    named = {text(way[key]) for key in ("SourceSecurityGroupId", "DestinationSecurityGroupId") if key in way}
    return not named.isdisjoint(groups) or way.get("CidrIp") in {EVERYWHERE, *networks}
