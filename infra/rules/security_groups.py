"""Reads what a security group of a template lets through. Rule: it lets the containers of one job talk, encrypted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from millrace.infra.rules.assembly import Finding, Resource, Stack, given, tasks, text

EVERYWHERE = "0.0.0.0/0"
SWITCH = "EnableInterContainerTrafficEncryption"
TASKS = {
    "createTrainingJob": (("ResourceConfig", "InstanceCount"), (SWITCH,)),
    "createProcessingJob": (("ProcessingResources", "ClusterConfig", "InstanceCount"), ("NetworkConfig", SWITCH)),
}
"""For each call, the paths of the number of instances and of the switch."""
KEYS, ESP = 500, "50"
"""The UDP port by which the instances agree on keys, and the protocol of the encrypted traffic."""
DIRECTIONS: tuple[Literal["Ingress", "Egress"], ...] = ("Ingress", "Egress")


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


def check_inter_container(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each job without encryption on several instances, or on a number that is only known at run time.

    And for each direction in which a security group holds back encrypted traffic, if its members talk to each other.
    Encrypted traffic goes by UDP 500 and the protocol ESP. A security group that only lets TCP through holds it back.
    https://docs.aws.amazon.com/sagemaker/latest/dg/train-encrypt.html"""
    for task in tasks(stacks, *TASKS):
        counted, switch = TASKS[task.action]
        count, encrypted = given(task.parameters, *counted), given(task.parameters, *switch)
        if count != 1 and encrypted is not True:
            yield Finding(where=task.where, expected=f"{SWITCH} true with {count} instances", came=encrypted)
    for stack in stacks:
        for group in stack.resources("AWS::EC2::SecurityGroup"):
            # A group that lets nobody in has no members that talk to each other.
            if any(ways(stack, group, "Ingress")):
                yield from _held_back(stack, group)


def _held_back(stack: Stack, group: Resource) -> Iterator[Finding]:
    for direction in DIRECTIONS:
        among = [way for way in ways(stack, group, direction) if _is_among(way, stack, group)]
        for what, protocols, port in ((f"UDP {KEYS}", ("udp", "17"), KEYS), (f"protocol {ESP} (ESP)", (ESP,), 0)):
            if not any(lets(way, *protocols, port=port) for way in among):
                expected = f"{direction.lower()} of {what} among its members, as {SWITCH} needs"
                yield Finding(where=group.where, expected=expected, came=among)


def _is_among(way: Mapping[str, Any], stack: Stack, group: Resource) -> bool:
    """Whether the way leads to or from the group itself, its whole VPC or everywhere."""
    vpc = text(group.properties.get("VpcId", ""))
    networks = {
        one.properties.get("CidrBlock") for one in stack.resources("AWS::EC2::VPC") if f"<{one.logical_id}>" == vpc
    }
    named = {text(way[key]) for key in ("SourceSecurityGroupId", "DestinationSecurityGroupId") if key in way}
    return id_of(group) in named or way.get("CidrIp") in {EVERYWHERE, *networks}
