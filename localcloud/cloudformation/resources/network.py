"""The virtual network. moto keeps it; it filters and routes no packet."""

from __future__ import annotations

from typing import Any

from localcloud.cloudformation.resources.kind import Made, Wanted, dropped


def _tags(wanted: Wanted, kind: str) -> list[dict[str, Any]] | None:
    """The resource's tags as the calls of EC2 take them, or None if it has none."""
    tags = wanted.properties.get("Tags")
    return [{"ResourceType": kind, "Tags": tags}] if tags else None


def _put_vpc(wanted: Wanted) -> Made:
    switches = ("EnableDnsSupport", "EnableDnsHostnames")
    if wanted.before is None:
        settings = wanted.rest(*switches, "Tags")
        made = wanted.call("ec2", "CreateVpc", TagSpecifications=_tags(wanted, "vpc"), **settings)["Vpc"]["VpcId"]
    else:
        made = wanted.before.ref
    for switch in switches:
        if switch in wanted.properties:
            wanted.call("ec2", "ModifyVpcAttribute", VpcId=made, **{switch: {"Value": wanted.properties[switch]}})
    return Made(ref=made, attributes=_vpc_attributes(wanted, made))


def _vpc_attributes(wanted: Wanted, vpc: str) -> dict[str, str]:
    inside = [{"Name": "vpc-id", "Values": [vpc]}]
    group = wanted.call("ec2", "DescribeSecurityGroups", Filters=inside)["SecurityGroups"][0]["GroupId"]
    acl = wanted.call("ec2", "DescribeNetworkAcls", Filters=inside)["NetworkAcls"][0]["NetworkAclId"]
    return {
        "VpcId": vpc,
        "CidrBlock": wanted.properties["CidrBlock"],
        "DefaultSecurityGroup": group,
        "DefaultNetworkAcl": acl,
    }


def _put_subnet(wanted: Wanted) -> Made:
    if wanted.before is None:
        settings = wanted.rest("MapPublicIpOnLaunch", "Tags")
        made = wanted.call("ec2", "CreateSubnet", TagSpecifications=_tags(wanted, "subnet"), **settings)["Subnet"]
        ref, zone = made["SubnetId"], made["AvailabilityZone"]
    else:
        ref, zone = wanted.before.ref, wanted.before.attributes["AvailabilityZone"]
    public = str(wanted.properties.get("MapPublicIpOnLaunch", False)).lower() == "true"
    wanted.call("ec2", "ModifySubnetAttribute", SubnetId=ref, MapPublicIpOnLaunch={"Value": public})
    attributes = {"SubnetId": ref, "AvailabilityZone": zone, "VpcId": wanted.properties["VpcId"]}
    return Made(ref=ref, attributes=attributes)


def _put_route_table(wanted: Wanted) -> Made:
    if wanted.before is not None:
        return wanted.before
    tags = _tags(wanted, "route-table")
    made = wanted.call("ec2", "CreateRouteTable", TagSpecifications=tags, **wanted.get("VpcId"))["RouteTable"]
    return Made(ref=made["RouteTableId"], attributes={"RouteTableId": made["RouteTableId"]})


def _put_association(wanted: Wanted) -> Made:
    made = wanted.call("ec2", "AssociateRouteTable", **wanted.properties)["AssociationId"]
    return Made(ref=made, attributes={"Id": made})


_WAYS = {"SecurityGroupIngress": "Ingress", "SecurityGroupEgress": "Egress"}
# EC2 gives each new group this rule, which lets everything out. Egress rules of a template take its place.
_ANYWHERE = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


def _put_security_group(wanted: Wanted) -> Made:
    before = wanted.before
    if before is None:
        name = wanted.name("GroupName", longest=255)
        description = wanted.properties["GroupDescription"]
        tags = _tags(wanted, "security-group")
        place = wanted.get("VpcId")
        made = wanted.call(
            "ec2", "CreateSecurityGroup", GroupName=name, Description=description, TagSpecifications=tags, **place
        )["GroupId"]
        if "SecurityGroupEgress" in wanted.properties:
            wanted.call("ec2", "RevokeSecurityGroupEgress", GroupId=made, IpPermissions=[_ANYWHERE])
    else:
        made = before.ref
    # Rules have no names: what is not in both lists is revoked, or authorized.
    for key, way in _WAYS.items():
        old = [_permission(rule) for rule in (before.properties.get(key, []) if before else [])]
        new = [_permission(rule) for rule in wanted.properties.get(key, [])]
        if gone := [rule for rule in old if rule not in new]:
            wanted.call("ec2", f"RevokeSecurityGroup{way}", GroupId=made, IpPermissions=gone)
        if come := [rule for rule in new if rule not in old]:
            wanted.call("ec2", f"AuthorizeSecurityGroup{way}", GroupId=made, IpPermissions=come)
    return Made(ref=made, attributes={"GroupId": made, "VpcId": wanted.properties.get("VpcId", "")})


def _permission(rule: dict[str, Any]) -> dict[str, Any]:
    """CloudFormation's flat rule as a permission of the API, which has lists of ranges, prefixes and groups."""
    ports = ("IpProtocol", "FromPort", "ToPort")
    made: dict[str, Any] = {str(key): rule[key] for key in ports if key in rule}
    if made["IpProtocol"] not in ("tcp", "udp", "icmp", "-1"):
        # Such a protocol (ESP is 50) has no ports. EC2 ignores them, moto wants some. May go when moto does not.
        made |= {"FromPort": -1, "ToPort": -1}
    note = {"Description": rule["Description"]} if "Description" in rule else {}
    if "CidrIp" in rule:
        made["IpRanges"] = [{"CidrIp": rule["CidrIp"], **note}]
    if "CidrIpv6" in rule:
        made["Ipv6Ranges"] = [{"CidrIpv6": rule["CidrIpv6"], **note}]
    for key in ("SourcePrefixListId", "DestinationPrefixListId"):
        if key in rule:
            made["PrefixListIds"] = [{"PrefixListId": rule[key], **note}]
    for key in ("SourceSecurityGroupId", "DestinationSecurityGroupId"):
        if key in rule:
            made["UserIdGroupPairs"] = [{"GroupId": rule[key], **note}]
    return made


def _put_endpoint(wanted: Wanted) -> Made:
    if wanted.before is not None:
        if wanted.changed("PolicyDocument"):
            policy = wanted.get("PolicyDocument")
            wanted.call("ec2", "ModifyVpcEndpoint", VpcEndpointId=wanted.before.ref, **policy)
        return wanted.before
    tags = _tags(wanted, "vpc-endpoint")
    made = wanted.call("ec2", "CreateVpcEndpoint", TagSpecifications=tags, **wanted.rest("Tags"))["VpcEndpoint"]
    return Made(ref=made["VpcEndpointId"], attributes={"Id": made["VpcEndpointId"]})


def _put_flow_log(wanted: Wanted) -> Made:
    settings = wanted.rest("ResourceId", "Tags")
    ids = [wanted.properties["ResourceId"]]
    tags = _tags(wanted, "vpc-flow-log")
    answer = wanted.call("ec2", "CreateFlowLogs", ResourceIds=ids, TagSpecifications=tags, **settings)
    if answer.get("Unsuccessful"):
        raise ValueError(answer["Unsuccessful"][0]["Error"]["Message"])
    return Made(ref=answer["FlowLogIds"][0], attributes={"Id": answer["FlowLogIds"][0]})


KINDS = {
    "AWS::EC2::VPC": dropped(_put_vpc, "ec2:DeleteVpc", "VpcId", "CidrBlock"),
    "AWS::EC2::Subnet": dropped(_put_subnet, "ec2:DeleteSubnet", "SubnetId", "CidrBlock", "AvailabilityZone", "VpcId"),
    "AWS::EC2::RouteTable": dropped(_put_route_table, "ec2:DeleteRouteTable", "RouteTableId", "VpcId"),
    "AWS::EC2::SubnetRouteTableAssociation": dropped(
        _put_association, "ec2:DisassociateRouteTable", "AssociationId", "*"
    ),
    "AWS::EC2::SecurityGroup": dropped(
        _put_security_group, "ec2:DeleteSecurityGroup", "GroupId", "GroupName", "GroupDescription", "VpcId"
    ),
    "AWS::EC2::VPCEndpoint": dropped(
        _put_endpoint,
        "ec2:DeleteVpcEndpoints",
        "VpcEndpointIds",
        "ServiceName",
        "VpcEndpointType",
        "VpcId",
        "RouteTableIds",
        "SubnetIds",
        "SecurityGroupIds",
    ),
    "AWS::EC2::FlowLog": dropped(_put_flow_log, "ec2:DeleteFlowLogs", "FlowLogIds", "*"),
}
