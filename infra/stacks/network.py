"""The platform's own network: isolated subnets without a route out, and the rules of its security group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

NETWORK = "10.84.0.0/16"
_AMONG_INSTANCES: tuple[dict[str, Any], ...] = (
    {"ip_protocol": "tcp", "from_port": 1024, "to_port": 65535, "description": "Among the instances of a training job"},
    # Encrypted traffic among instances needs UDP 500 and the protocol 50, which has no ports, in both directions:
    # https://docs.aws.amazon.com/sagemaker/latest/dg/train-encrypt.html
    {"ip_protocol": "udp", "from_port": 500, "to_port": 500, "description": "Keys of encrypted traffic among them"},
    {"ip_protocol": "50", "description": "Encrypted traffic among them (ESP)"},
)


@dataclass(frozen=True, kw_only=True)
class PlatformNetwork:
    """The ids of the network, as deploy-time values."""

    vpc_id: str
    subnets: tuple[str, ...]
    """One in each zone, of 4,091 addresses. A subnet in which SageMaker has interfaces cannot be replaced."""
    security_group: str


def isolated_network(stack: Construct, *, region: str, subnets: int) -> PlatformNetwork:
    """Make the network in the stack, with so many subnets in as many zones.

    A gateway endpoint reaches S3, and nothing else can be reached."""
    vpc = ec2.CfnVPC(stack, "Vpc", cidr_block=NETWORK, enable_dns_hostnames=True, enable_dns_support=True)
    routes = ec2.CfnRouteTable(stack, "Routes", vpc_id=vpc.ref)
    made: list[str] = []
    for index, zone in enumerate("abcdef"[:subnets]):
        subnet = ec2.CfnSubnet(
            stack,
            f"Subnet{zone}",
            vpc_id=vpc.ref,
            cidr_block=f"10.84.{index * 16}.0/20",
            availability_zone=cdk.Fn.select(index, cdk.Fn.get_azs()),
            map_public_ip_on_launch=False,
        )
        ec2.CfnSubnetRouteTableAssociation(stack, f"Route{zone}", subnet_id=subnet.ref, route_table_id=routes.ref)
        made.append(subnet.ref)
    ec2.CfnVPCEndpoint(
        stack,
        "S3Endpoint",
        vpc_id=vpc.ref,
        service_name=f"com.amazonaws.{region}.s3",
        vpc_endpoint_type="Gateway",
        route_table_ids=[routes.ref],
    )
    group = ec2.CfnSecurityGroup(
        stack,
        "Jobs",
        vpc_id=vpc.ref,
        group_description="Jobs reach S3 and the other instances of theirs, nothing else",
        # S3 has public addresses behind the gateway endpoint, too, and CloudFormation does not know the number of its
        # prefix list. So the group lets out to everywhere. The endpoint is the only route, so everywhere is only S3.
        security_group_egress=[
            ec2.CfnSecurityGroup.EgressProperty(
                ip_protocol="tcp", from_port=443, to_port=443, cidr_ip="0.0.0.0/0", description="S3 by its endpoint"
            ),
            *(ec2.CfnSecurityGroup.EgressProperty(cidr_ip=NETWORK, **one) for one in _AMONG_INSTANCES),
        ],
        # The whole network may come in. SageMaker isolates each job all the same: only the instances of its own cluster
        # get through.
        security_group_ingress=[
            ec2.CfnSecurityGroup.IngressProperty(cidr_ip=NETWORK, **one) for one in _AMONG_INSTANCES
        ],
    )
    return PlatformNetwork(vpc_id=vpc.ref, subnets=tuple(made), security_group=group.attr_group_id)


def log_connections(stack: Construct, vpc_id: str, *, bucket_arn: str) -> ec2.CfnFlowLog:
    """Log every connection in the network into the bucket, refused connections included."""
    return ec2.CfnFlowLog(
        stack,
        "FlowLog",
        resource_id=vpc_id,
        resource_type="VPC",
        traffic_type="ALL",
        log_destination_type="s3",
        log_destination=bucket_arn,
    )
