"""Rules: the stage's own network has room for its instances, and its jobs and models reach S3 and each other.

jobs and models -> subnets -> route table -> gateway endpoint of S3
                -> security groups -> out on 443

S3 is all that they call: SageMaker fetches and stores their data, and the containers have no network. No function is in
a network. A gateway endpoint has no address in the VPC, and routes to S3's public addresses. So a security group that
only lets out to the VPC cuts a job off from its inputs, its outputs and its model.
https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-s3.html

A workload's templates read the network's ids from SSM parameters, which the platform's template writes. References are
followed through these parameters, so all templates of a stage are one graph. A stage in a network of the account is
checked by `millrace doctor`, as the templates have no part of that network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Literal

from millrace.infra.rules.assembly import Finding, Resource, Stack, given, listed, resources, tasks, text
from millrace.infra.rules.values import VPC

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
HTTPS = 443
SUBNET, GROUP = "AWS::EC2::Subnet", "AWS::EC2::SecurityGroup"
OF_AN_INSTANCE = 2
"""Private addresses of an instance."""
RESERVED = 5
"""Addresses of a subnet that AWS keeps: https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html"""
REFERENCE = re.compile(r"<([\w:]+)(\.\w+)?>")
READ_AT_DEPLOYMENT = re.compile(r"\{\{resolve:ssm:([^:}]+)(:\d+)?\}\}")
OWN_REGION = "<AWS::Region>"
REGION = "MILLRACE_REGION"
"""The environment variable that tells every function of a stage its region."""


def check_addresses(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding if the stage's own subnets have too few addresses for the instances of its endpoints at once.

    A network of the account is not judged. https://docs.aws.amazon.com/sagemaker/latest/dg/host-vpc.html"""
    subnets = list(resources(stacks, SUBNET))
    addresses = sum(2 ** (32 - int(one.properties["CidrBlock"].rpartition("/")[2])) - RESERVED for one in subnets)
    # An update has two fleets, and a release has its challenger.
    instances = sum(2 * given(task.parameters, "MaxCapacity") + 1 for task in tasks(stacks, "registerScalableTarget"))
    if subnets and OF_AN_INSTANCE * instances > addresses:
        expected = f"subnets with {OF_AN_INSTANCE * instances} addresses, for {instances} instances at once"
        yield Finding(where=subnets[0].where, expected=expected, came=addresses)


@dataclass(frozen=True)
class StageNetwork:
    """The templates of one stage, as a graph of their network. A place in it is `<stack>/<logical id>`."""

    stacks: Sequence[Stack]

    @cached_property
    def by_name(self) -> Mapping[str, Stack]:
        return {stack.name: stack for stack in self.stacks}

    @cached_property
    def _published(self) -> Mapping[str, Resource]:
        return {text(one.properties.get("Name", "")): one for one in self.all("AWS::SSM::Parameter")}

    @cached_property
    def regions(self) -> frozenset[str]:
        """The stage's region; empty if the templates tell it to no function."""
        functions = self.all("AWS::Lambda::Function")
        told = [given(one.properties, "Environment", "Variables", REGION) for one in functions]
        return frozenset(text(region) for region in told if region)

    def all(self, kind: str) -> Iterator[Resource]:
        """The resources of one type."""
        return resources(self.stacks, kind)

    def find(self, kind: str, place: str) -> Resource | None:
        """The resource of this type at the place; None if no template has one there."""
        return next((one for one in self.all(kind) if f"{one.stack}/{one.logical_id}" == place), None)

    def place(self, stack: str, value: Any) -> str:
        """The place of the resource that the value names; else the value as text.

        A reference to an SSM parameter that another template publishes is followed to the published resource."""
        # Three forms: a reference to a resource, a parameter of the template with the type of an SSM parameter, and a
        # `{{resolve:ssm:…}}`. A parameter's default is the name of the SSM parameter.
        written = text(value)
        reference, read = REFERENCE.fullmatch(written), READ_AT_DEPLOYMENT.fullmatch(written)
        name = reference[1] if reference else ""
        parameter = self.by_name[stack].template.get("Parameters", {}).get(name, {})
        is_read = str(parameter.get("Type", "")).startswith("AWS::SSM::Parameter::Value<")
        published = read[1] if read else str(parameter.get("Default", "")) if is_read else ""
        if published in self._published:
            found = self._published[published]
            return self.place(found.stack, found.properties.get("Value", ""))
        return published or (f"{stack}/{name}" if name else written)

    def places(self, resource: Resource, *path: str) -> tuple[str, ...]:
        """The places that a property of the resource names, one or a list; empty without such a property."""
        values = given(resource.properties, *path)
        return () if values is None else tuple(self.place(resource.stack, one) for one in listed(values))


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each missing way, once for everyone who would take it."""
    network = StageNetwork(stacks)
    if not any(network.all(SUBNET)):
        return
    said: set[str] = set()
    for stack in stacks:
        for task in tasks([stack], *VPC):
            for finding in _of(network, stack.name, task.where, given(task.parameters, *VPC[task.action])):
                if str(finding) not in said:
                    said.add(str(finding))
                    yield finding


def _of(network: StageNetwork, stack: str, where: str, vpc: Any) -> Iterator[Finding]:
    """The findings of a job or a model with this `VpcConfig`."""
    in_subnets = [network.place(stack, one) for one in listed(given(vpc, "Subnets") or [])]
    in_groups = [network.place(stack, one) for one in listed(given(vpc, "SecurityGroupIds") or [])]
    subnets = [network.find(SUBNET, place) for place in in_subnets]
    groups = [network.find(GROUP, place) for place in in_groups]
    if None in subnets:
        yield Finding(where=where, expected="subnets of the stage's network", came=in_subnets)
    if None in groups or not groups:
        yield Finding(where=where, expected="a security group of its network", came=in_groups)
    # What the templates have of its network is in one VPC. Then S3 must be within reach.
    known, own = [one for one in subnets if one], [one for one in groups if one]
    vpcs = {place for one in [*known, *own] for place in network.places(one, "VpcId")}
    if len(vpcs) > 1:
        yield Finding(where=where, expected="subnets and groups of one VPC", came=sorted(vpcs))
    elif known and own:
        yield from _reach(network, known, own)


def _reach(network: StageNetwork, subnets: Sequence[Resource], groups: Sequence[Resource]) -> Iterator[Finding]:
    lets_out = list(chain.from_iterable(ways(network.by_name[one.stack], one, "Egress") for one in groups))
    endpoints = list(network.all("AWS::EC2::VPCEndpoint"))
    for subnet in subnets:
        tables = _tables(network, subnet)
        if not any(_is_gateway(network, one, subnet, tables) for one in endpoints):
            regions = f" in {', '.join(sorted(network.regions))}" if network.regions else ""
            expected = f"a route table with a gateway endpoint of s3{regions}, for the jobs and models in it"
            routed = {
                text(one.properties.get("ServiceName", "")): list(network.places(one, "RouteTableIds"))
                for one in endpoints
            }
            yield Finding(where=subnet.where, expected=expected, came={"tables": tables, **routed})
        # A group that lets out to everywhere only reaches S3 as long as the route to the endpoint is the only one.
        if any(way.get("CidrIp") == EVERYWHERE for way in lets_out):
            expected = f"no route beside the endpoint's, since {groups[0].logical_id} lets out to {EVERYWHERE}"
            for route in network.all("AWS::EC2::Route"):
                if not set(tables).isdisjoint(network.places(route, "RouteTableId")):
                    came = route.properties.get("DestinationCidrBlock")
                    yield Finding(where=route.where, expected=expected, came=came)
    if not any(_leads_to_gateway(way) for way in lets_out):
        expected = f"egress on {HTTPS} to the prefix list of s3 or to {EVERYWHERE}"
        yield Finding(where=groups[0].where, expected=expected, came=lets_out)


def _tables(network: StageNetwork, subnet: Resource) -> list[str]:
    """The subnet's route tables. None if it uses the VPC's main table: no endpoint of a template can be in that one."""
    place = f"{subnet.stack}/{subnet.logical_id}"
    return [
        table
        for one in network.all("AWS::EC2::SubnetRouteTableAssociation")
        if place in network.places(one, "SubnetId")
        for table in network.places(one, "RouteTableId")
    ]


def _is_gateway(network: StageNetwork, endpoint: Resource, subnet: Resource, tables: Sequence[str]) -> bool:
    """Whether the endpoint is the gateway to S3 of this region, and the subnet's route tables lead to it."""
    # A template has the region as text, as a Ref, or within an Fn::Sub.
    name = text(endpoint.properties.get("ServiceName", "")).replace("${AWS::Region}", OWN_REGION).strip("<>")
    region = "|".join(map(re.escape, [*network.regions, OWN_REGION])) if network.regions else ".+"
    is_s3 = re.fullmatch(rf"(cn\.)?com\.amazonaws\.({region})\.s3", name) is not None
    is_there = network.places(endpoint, "VpcId") == network.places(subnet, "VpcId")
    # Without a type CloudFormation makes a gateway endpoint.
    kind = endpoint.properties.get("VpcEndpointType", "Gateway")
    is_routed = not set(tables).isdisjoint(network.places(endpoint, "RouteTableIds"))
    return is_s3 and is_there and kind == "Gateway" and is_routed


def _leads_to_gateway(way: Mapping[str, Any]) -> bool:
    return lets(way, "tcp", "6", port=HTTPS) and ("DestinationPrefixListId" in way or way.get("CidrIp") == EVERYWHERE)


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
