"""Whether a network of the account's own leads to S3. `network` of the stage in `cdk.json` names its subnets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from millrace.console.doctor.check import Check, Verdict
from millrace.console.environment import Environment
from millrace.console.stages import declared_stages

HTTPS = 443
EVERYWHERE = "0.0.0.0/0"
EVERY_PROTOCOL = "-1"
"""EC2's word for all protocols."""


def check_network(environment: Environment) -> Iterator[Check]:
    """For each subnet its way to S3, and whether the security group lets traffic out to S3.

    Nothing for a stage in the platform's own network. The policy of an endpoint and a firewall behind another route are
    not looked at."""
    network = (declared_stages().get(environment.platform.stage) or {}).get("network")
    if network:
        client = environment.client("ec2")
        for subnet in network["subnets"]:
            yield _subnet(client, subnet, f"com.amazonaws.{environment.platform.region}.s3")
        yield _group(client, network["security_group"])


def _subnet(client: Any, subnet: str, service: str) -> Check:
    """The check of one subnet: a gateway endpoint of S3 in its route table is what is required."""
    vpc = client.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    table = _table(client, subnet, vpc)
    asked = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "service-name", "Values": [service]}]
    endpoints = client.describe_vpc_endpoints(Filters=asked)["VpcEndpoints"]
    gateways = [
        one["VpcEndpointId"]
        for one in endpoints
        if one["VpcEndpointType"] == "Gateway" and table["RouteTableId"] in one.get("RouteTableIds", [])
    ]
    if gateways:
        return _check(subnet, f"{gateways[0]} in {table['RouteTableId']}", "ok")
    if other := _other_way(table, endpoints):
        return _check(
            subnet, f"none, but {other}", "unknown", "a gateway endpoint costs nothing; see that this leads there"
        )
    found = f"none in {table['RouteTableId']}"
    create = (
        f"aws ec2 create-vpc-endpoint --vpc-id {vpc} --service-name {service} --route-table-ids {table['RouteTableId']}"
    )
    return _check(subnet, found, "missing", create)


def _table(client: Any, subnet: str, vpc: str) -> Mapping[str, Any]:
    """The route table of the subnet; the main table of its VPC if the subnet has none of its own."""
    own = client.describe_route_tables(Filters=[{"Name": "association.subnet-id", "Values": [subnet]}])["RouteTables"]
    main = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "association.main", "Values": ["true"]}]
    found: Mapping[str, Any] = (own or client.describe_route_tables(Filters=main)["RouteTables"])[0]
    return found


def _other_way(table: Mapping[str, Any], endpoints: list[Mapping[str, Any]]) -> str:
    """What else may lead to S3: an interface endpoint, or a route to everywhere. Empty if there is neither."""
    interfaces = [one["VpcEndpointId"] for one in endpoints if one["VpcEndpointType"] == "Interface"]
    routes = [f"a route to {EVERYWHERE}" for one in table["Routes"] if one.get("DestinationCidrBlock") == EVERYWHERE]
    return next(iter([*interfaces, *routes]), "")


def _check(subnet: str, found: str, verdict: Verdict, advice: str = "") -> Check:
    needed = "a gateway endpoint of S3 in its route table"
    return Check(name=f"network {subnet}", needed=needed, found=found, verdict=verdict, advice=advice)


def _group(client: Any, group: str) -> Check:
    let = client.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
    is_open = any(_leads_to_s3(one) for one in let)
    return Check(
        name=f"network {group}",
        needed=f"out on {HTTPS} to S3's prefix list or everywhere",
        found="let out" if is_open else "held back",
        verdict="ok" if is_open else "missing",
        advice="" if is_open else f"allow TCP {HTTPS} out to the prefix list of S3: its addresses are not in the VPC",
    )


def _leads_to_s3(permission: Mapping[str, Any]) -> bool:
    """Whether a rule of the security group lets HTTPS out to everywhere or to a prefix list."""
    # A permission for all protocols names no ports.
    ports = permission.get("FromPort", 0) <= HTTPS <= permission.get("ToPort", 65_535)
    is_https = permission["IpProtocol"] == EVERY_PROTOCOL or (permission["IpProtocol"] == "tcp" and ports)
    is_everywhere = any(one["CidrIp"] == EVERYWHERE for one in permission.get("IpRanges", []))
    return is_https and (is_everywhere or bool(permission.get("PrefixListIds")))
