"""What runs in the VPC reaches S3: through a gateway endpoint, and past its own security group.

A gateway endpoint has no address in the VPC; it routes to S3's public ones. A security group that lets out to the VPC
alone therefore cuts a job off from its inputs, its outputs and its model.
https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-s3.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.rules.assembly import Resource, Stack, text
from infra.rules.finding import Finding
from infra.rules.security_groups import EVERYWHERE, ways

HTTPS = 443


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each security group that S3 is out of reach for, and for each that reaches more than S3."""
    for stack in stacks:
        for group in stack.resources("AWS::EC2::SecurityGroup"):
            vpc = text(group.properties.get("VpcId", ""))
            if not any(_is_gateway(one, vpc) for one in stack.resources("AWS::EC2::VPCEndpoint")):
                yield Finding(where=group.where, expected="a gateway endpoint of S3 in its VPC", came=None)
            out = list(ways(stack, group, "Egress"))
            if not any(_reaches(way) for way in out):
                expected = f"egress on {HTTPS} to S3's prefix list or to {EVERYWHERE}"
                yield Finding(where=group.where, expected=expected, came=out)
            if any(way.get("CidrIp") == EVERYWHERE for way in out):
                expected = f"no route beside the endpoint's, since {group.logical_id} lets out to {EVERYWHERE}"
                for route in stack.resources("AWS::EC2::Route"):
                    yield Finding(where=route.where, expected=expected, came=route.properties["DestinationCidrBlock"])


def _is_gateway(endpoint: Resource, vpc: str) -> bool:
    asked = endpoint.properties
    of_s3 = text(asked.get("ServiceName", "")).endswith(".s3")
    return of_s3 and asked.get("VpcEndpointType") == "Gateway" and text(asked.get("VpcId", "")) == vpc


def _reaches(way: Mapping[str, Any]) -> bool:
    where = "DestinationPrefixListId" in way or way.get("CidrIp") == EVERYWHERE
    protocol = str(way["IpProtocol"])
    ports = protocol == "tcp" and int(way.get("FromPort", 0)) <= HTTPS <= int(way.get("ToPort", 65_535))
    return where and (protocol == "-1" or ports)
