"""Rule: everything in a VPC reaches what it calls: by its subnets' routes, past its security groups, through endpoints.

jobs and models -> subnets -> route table -> gateway endpoint of S3, its policy allows what the role does
                -> security groups -> out on 443
functions       -> the same, and an interface endpoint for each other service that their role calls

A gateway endpoint has no address in the VPC, and routes to S3's public addresses. So a security group that only lets
out to the VPC cuts a job off from its inputs, its outputs and its model.
https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-s3.html

A stage in a network of the account is checked by `millrace doctor`, as the templates have no part of that network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Literal

from millrace.infra.rules.assembly import Finding, Resource, Stack, given, resources, tasks, text
from millrace.infra.rules.endpoints import leads_to, refused
from millrace.infra.rules.network import Resident, StageNetwork
from millrace.infra.rules.security_groups import EVERYWHERE, id_of, leads_among, lets, ways

HTTPS = 443
BY_LAMBDA = ("ec2", "logs", "xray")
"""Services that Lambda itself calls in the name of a function, from outside of the VPC."""
BY_SERVICES = ("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey")
"""Actions on a key that S3 and other services call in the name of a function."""
GATEWAYS = ("s3", "dynamodb")
SUBNET, GROUP = "AWS::EC2::Subnet", "AWS::EC2::SecurityGroup"
OF_AN_INSTANCE = 2
"""Private addresses of an instance."""
RESERVED = 5
"""Addresses of a subnet that AWS keeps: https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html"""


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


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each missing way, once for everyone who would take it."""
    network = StageNetwork(stacks)
    if not any(network.all(SUBNET)):
        return
    said: set[str] = set()
    for resident in network.residents():
        for finding in _of(network, resident):
            if str(finding) not in said:
                said.add(str(finding))
                yield finding


def _of(network: StageNetwork, resident: Resident) -> Iterator[Finding]:
    subnets = [network.find(SUBNET, place) for place in resident.subnets]
    groups = [network.find(GROUP, place) for place in resident.groups]
    if None in subnets:
        yield Finding(where=resident.where, expected="subnets of the stage's network", came=list(resident.subnets))
    if None in groups or not groups:
        yield Finding(where=resident.where, expected="a security group of its network", came=list(resident.groups))
    # What the templates have of its network is in one VPC. Then each service that it calls must be within reach.
    known, own = [one for one in subnets if one], [one for one in groups if one]
    vpcs = {place for one in [*known, *own] for place in network.places(one, "VpcId")}
    if len(vpcs) > 1:
        yield Finding(where=resident.where, expected="subnets and groups of one VPC", came=sorted(vpcs))
    elif known and own:
        for service in _services(resident):
            yield from _reach(network, resident, service, known, own)


def _services(resident: Resident) -> list[str]:
    """The services that a job, a model or a function calls from its VPC.

    For a job or a model that is only S3: SageMaker fetches and stores its data, and the container has no network."""
    if not resident.is_function:
        return ["s3"]
    asked = {call.service for call in resident.calls if call.action not in BY_SERVICES}
    return sorted(asked - set(BY_LAMBDA))


def _reach(
    network: StageNetwork, resident: Resident, service: str, subnets: Sequence[Resource], groups: Sequence[Resource]
) -> Iterator[Finding]:
    # An interface endpoint that answers is enough. S3 and DynamoDB may have a gateway endpoint instead.
    offered = [one for _, one in network.all("AWS::EC2::VPCEndpoint") if leads_to(one, service, network.regions)]
    interfaces = [one for one in offered if _is_interface(network, one, subnets, groups)]
    if interfaces:
        yield from _held_back(network, resident, service, interfaces)
    elif service in GATEWAYS:
        yield from _reach_gateway(network, resident, service, offered, subnets, groups)
    else:
        expected = f"an interface endpoint of {service} in its VPC with private DNS, that its groups lead to"
        yield Finding(where=resident.where, expected=expected, came=_described(network))


def _reach_gateway(
    network: StageNetwork,
    resident: Resident,
    service: str,
    offered: Sequence[Resource],
    subnets: Sequence[Resource],
    groups: Sequence[Resource],
) -> Iterator[Finding]:
    # Findings are compared by their text: without a name, one for the subnet stands for all jobs and models in it.
    who = resident.where if resident.is_function else "the jobs and models in it"
    for subnet in subnets:
        tables = _tables(network, subnet)
        taken = [one for one in offered if _is_gateway(network, one, subnet, tables)]
        if not taken:
            regions = f" in {', '.join(sorted(network.regions))}" if network.regions else ""
            expected = f"a route table with a gateway endpoint of {service}{regions}, for {who}"
            yield Finding(where=subnet.where, expected=expected, came={"tables": tables, **_described(network)})
        yield from _held_back(network, resident, service, taken)
        yield from _other_routes(network, tables, groups)
    if not any(_leads_to_gateway(way) for way in _ways(network, groups, "Egress")):
        expected = f"egress on {HTTPS} to the prefix list of {service} or to {EVERYWHERE}"
        yield Finding(where=groups[0].where, expected=expected, came=list(_ways(network, groups, "Egress")))


def _held_back(
    network: StageNetwork, resident: Resident, service: str, endpoints: Sequence[Resource]
) -> Iterator[Finding]:
    """A finding for each endpoint with a policy that refuses calls of this role."""
    calls = [call for call in resident.calls if call.service == service]
    # Policies refer to a bucket of the template by its logical id. With its name instead, patterns can be compared.
    names = {
        f"<{one.logical_id}.Arn>": f"arn:aws:s3:::{text(one.properties.get('BucketName', place))}"
        for place, one in network.all("AWS::S3::Bucket")
    }
    for endpoint in endpoints:
        if held := refused(endpoint, calls, names):
            yield Finding(where=endpoint.where, expected=f"a policy for {resident.where}, with {held}", came="none")


def _tables(network: StageNetwork, subnet: Resource) -> list[str]:
    """The subnet's route tables. None if it uses the VPC's main table: no endpoint of a template can be in that one."""
    place = f"{subnet.stack}/{subnet.logical_id}"
    associated = (one for _, one in network.all("AWS::EC2::SubnetRouteTableAssociation"))
    return [
        table
        for one in associated
        if place in network.places(one, "SubnetId")
        for table in network.places(one, "RouteTableId")
    ]


def _is_gateway(network: StageNetwork, endpoint: Resource, subnet: Resource, tables: Sequence[str]) -> bool:
    is_there = network.places(endpoint, "VpcId") == network.places(subnet, "VpcId")
    # Without a type CloudFormation makes a gateway endpoint.
    kind = endpoint.properties.get("VpcEndpointType", "Gateway")
    return kind == "Gateway" and is_there and not set(tables).isdisjoint(network.places(endpoint, "RouteTableIds"))


def _is_interface(
    network: StageNetwork, endpoint: Resource, subnets: Sequence[Resource], groups: Sequence[Resource]
) -> bool:
    """Whether the endpoint answers by the service's own name in this VPC, and all groups let the traffic through.

    `groups` must let it out to the endpoint, and the endpoint's own groups must let it in."""
    asked = endpoint.properties
    if asked.get("VpcEndpointType") != "Interface" or str(asked.get("PrivateDnsEnabled")).lower() != "true":
        return False
    if network.places(endpoint, "VpcId") != network.places(subnets[0], "VpcId") or not asked.get("SubnetIds"):
        return False
    # The groups let out to the endpoint's groups, and the endpoint's groups let in from these.
    doors = [one for place in network.places(endpoint, "SecurityGroupIds") if (one := network.find(GROUP, place))]
    out = any(_leads_among(network, way, doors) for way in _ways(network, groups, "Egress"))
    return out and any(_leads_among(network, way, groups) for way in _ways(network, doors, "Ingress"))


def _ways(
    network: StageNetwork, groups: Sequence[Resource], direction: Literal["Ingress", "Egress"]
) -> Iterator[Mapping[str, Any]]:
    return chain.from_iterable(ways(network.stack_of(group), group, direction) for group in groups)


def _leads_to_gateway(way: Mapping[str, Any]) -> bool:
    return lets(way, "tcp", "6", port=HTTPS) and ("DestinationPrefixListId" in way or way.get("CidrIp") == EVERYWHERE)


def _leads_among(network: StageNetwork, way: Mapping[str, Any], others: Sequence[Resource]) -> bool:
    """Whether the way leads to or from one of these groups, their whole VPC or everywhere, on port 443."""
    vpcs = [vpc for one in others for vpc in network.places(one, "VpcId")]
    cidrs = {one.properties.get("CidrBlock") for place, one in network.all("AWS::EC2::VPC") if place in vpcs}
    return lets(way, "tcp", "6", port=HTTPS) and leads_among(way, map(id_of, others), cidrs)


def _other_routes(network: StageNetwork, tables: Sequence[str], groups: Sequence[Resource]) -> Iterator[Finding]:
    """A finding for each other route, if a group lets out to everywhere.

    Such a group only reaches S3 as long as the route to the endpoint is the only one."""
    if any(way.get("CidrIp") == EVERYWHERE for way in _ways(network, groups, "Egress")):
        expected = f"no route beside the endpoint's, since {groups[0].logical_id} lets out to {EVERYWHERE}"
        for _, route in network.all("AWS::EC2::Route"):
            if not set(tables).isdisjoint(network.places(route, "RouteTableId")):
                yield Finding(where=route.where, expected=expected, came=route.properties.get("DestinationCidrBlock"))


def _described(network: StageNetwork) -> dict[str, Any]:
    """The route tables of each endpoint in the templates, by the endpoint's service."""
    return {
        text(one.properties.get("ServiceName", "")): list(network.places(one, "RouteTableIds"))
        for _, one in network.all("AWS::EC2::VPCEndpoint")
    }
