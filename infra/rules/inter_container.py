"""Rule: traffic between the containers of one job is encrypted and gets through. A job of one instance has none.

Encrypted traffic goes by UDP 500 and the protocol ESP. A security group that only lets TCP through holds it back.
https://docs.aws.amazon.com/sagemaker/latest/dg/train-encrypt.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from millrace.infra.rules.assembly import Finding, Resource, Stack, given, tasks, text
from millrace.infra.rules.security_groups import id_of, leads_among, lets, ways

SWITCH = "EnableInterContainerTrafficEncryption"
TASKS = {
    "createTrainingJob": (("ResourceConfig", "InstanceCount"), (SWITCH,)),
    "createProcessingJob": (("ProcessingResources", "ClusterConfig", "InstanceCount"), ("NetworkConfig", SWITCH)),
}
"""For each call, the paths of the number of instances and of the switch."""
KEYS, ESP = 500, "50"
"""The UDP port by which the instances agree on keys, and the protocol of the encrypted traffic."""
DIRECTIONS: tuple[Literal["Ingress", "Egress"], ...] = ("Ingress", "Egress")


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each job without encryption on several instances, or on a number that is only known at run time.

    And for each direction in which a security group holds back encrypted traffic, if its members talk to each other."""
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
    return leads_among(way, [id_of(group)], networks)
