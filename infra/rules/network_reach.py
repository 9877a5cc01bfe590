"""Rules: the jobs and models of the stage's own network reach S3 and each other.

jobs and models -> subnets -> route table -> gateway endpoint of S3
                -> security groups -> out on 443

S3 is all that they call: SageMaker fetches and stores their data, and the containers have no network. No function is in
a network. A gateway endpoint has no address in the VPC, and routes to S3's public addresses. So a security group that
only lets out to the VPC cuts a job off from its inputs, its outputs and its model.
https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-s3.html

The platform's template has the whole network, in the form that `infra.stacks.network` gives it, and publishes its ids
as SSM parameters. A workload's templates read them there. A stage in a network of the account is checked by
`millrace doctor`, as the templates have no part of that network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from millrace.infra.rules.assembly import Finding, Resource, Stack, given, listed, resources, tasks, text
from millrace.infra.rules.values import VPC

EVERYWHERE = "0.0.0.0/0"
SWITCH = "EnableInterContainerTrafficEncryption"
TASKS = {
    "createTrainingJob": (("ResourceConfig", "InstanceCount"), (SWITCH,)),
    "createProcessingJob": (("ProcessingResources", "ClusterConfig", "InstanceCount"), ("NetworkConfig", SWITCH)),
}
"""For each call, the paths of the number of instances and of the switch."""
ENCRYPTED = {"UDP 500": ("udp", 500), "protocol 50 (ESP)": ("50", None)}
"""The protocols and ports of encrypted traffic: UDP 500, by which the instances agree on keys, and ESP."""
HTTPS = 443
SUBNET, GROUP, GATEWAY = "AWS::EC2::Subnet", "AWS::EC2::SecurityGroup", "AWS::EC2::VPCEndpoint"
REGION = "MILLRACE_REGION"
"""The environment variable that tells every function of a stage its region."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each way to S3 that is missing in the stage's own network, and for each user of another network."""
    subnets, groups = list(resources(stacks, SUBNET)), list(resources(stacks, GROUP))
    if not subnets:
        return
    gateways = list(resources(stacks, GATEWAY))
    for one in [*subnets[1:], *groups, *gateways]:
        if (vpc := text(one.properties["VpcId"])) != text(subnets[0].properties["VpcId"]):
            yield Finding(where=one.where, expected=f"the VPC of {subnets[0].logical_id}", came=vpc)
    yield from _reach(stacks, subnets, gateways)
    for group in groups:
        if not _lets(group, "Egress", EVERYWHERE, "tcp", HTTPS):
            came = group.properties.get("SecurityGroupEgress")
            yield Finding(where=group.where, expected=f"egress on {HTTPS} to {EVERYWHERE}", came=came)
    published = {text(one.properties["Value"]): one for one in resources(stacks, "AWS::SSM::Parameter")}
    ids = {"Subnets": [f"<{one.logical_id}>" for one in subnets], "SecurityGroupIds": list(map(_id_of, groups))}
    names = {key: {published[one].properties["Name"] for one in of if one in published} for key, of in ids.items()}
    for stack in stacks:
        for task in tasks([stack], *VPC):
            for key, known in names.items():
                values = listed(given(task.parameters, *VPC[task.action], key) or [])
                if not (read := {_read(stack, one) for one in values}) or not read <= known:
                    yield Finding(where=task.where, expected=f"{key} of the stage's network", came=sorted(read))


def _reach(stacks: Sequence[Stack], subnets: Sequence[Resource], gateways: Sequence[Resource]) -> Iterator[Finding]:
    """A finding for each subnet without a route to S3's gateway in this region, and for each other route."""
    functions = resources(stacks, "AWS::Lambda::Function")
    regions = {text(given(one.properties, "Environment", "Variables", REGION)) for one in functions}
    services = {f"com.amazonaws.{region}.s3" for region in regions}
    led = {
        text(table)
        for one in gateways
        if text(one.properties["ServiceName"]) in services and one.properties["VpcEndpointType"] == "Gateway"
        for table in listed(one.properties.get("RouteTableIds", []))
    }
    used = {
        text(one.properties["SubnetId"]): text(one.properties["RouteTableId"])
        for one in resources(stacks, "AWS::EC2::SubnetRouteTableAssociation")
    }
    # A subnet without a table uses the VPC's main one, and no endpoint of a template can be in that.
    for subnet in subnets:
        if (table := used.get(f"<{subnet.logical_id}>")) not in led:
            expected = f"a route table with a gateway endpoint of {' or '.join(sorted(services))}"
            yield Finding(where=subnet.where, expected=expected, came=table)
    # A group that lets out to everywhere only reaches S3 as long as the route to the endpoint is the only one.
    for route in resources(stacks, "AWS::EC2::Route"):
        came = route.properties.get("DestinationCidrBlock")
        yield Finding(where=route.where, expected=f"no route: the groups let out to {EVERYWHERE}", came=came)


def _read(stack: Stack, value: Any) -> str:
    """The name of the SSM parameter that a template's parameter is read from; else the value as text."""
    written = text(value)
    parameter = stack.template.get("Parameters", {}).get(written.strip("<>"), {})
    is_read = str(parameter.get("Type", "")).startswith("AWS::SSM::Parameter::Value<")
    return str(parameter["Default"]) if is_read else written


def _id_of(group: Resource) -> str:
    """The group's id, as `text` writes it: `<Jobs.GroupId>`."""
    return f"<{group.logical_id}.GroupId>"


def _lets(group: Resource, direction: str, network: str, protocol: str, port: int | None) -> bool:
    """Whether the group lets this protocol through, to or from the network; ESP has no ports."""
    return any(
        (way.get("CidrIp"), way.get("IpProtocol"), way.get("FromPort")) == (network, protocol, port)
        for way in group.properties.get(f"SecurityGroup{direction}", [])
    )


def check_inter_container(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each job without encryption on several instances, or on a number that is only known at run time.

    And for each direction in which a security group holds back encrypted traffic within its VPC. Such traffic goes by
    UDP 500 and the protocol ESP. A security group that only lets TCP through holds it back.
    https://docs.aws.amazon.com/sagemaker/latest/dg/train-encrypt.html"""
    for task in tasks(stacks, *TASKS):
        counted, switch = TASKS[task.action]
        count, encrypted = given(task.parameters, *counted), given(task.parameters, *switch)
        if count != 1 and encrypted is not True:
            yield Finding(where=task.where, expected=f"{SWITCH} true with {count} instances", came=encrypted)
    networks = {f"<{one.logical_id}>": one.properties["CidrBlock"] for one in resources(stacks, "AWS::EC2::VPC")}
    for group in resources(stacks, GROUP):
        for direction in ("Ingress", "Egress"):
            for what, way in ENCRYPTED.items():
                if not _lets(group, direction, networks[text(group.properties["VpcId"])], *way):
                    expected = f"{direction.lower()} of {what} among its members, as {SWITCH} needs"
                    came = group.properties.get(f"SecurityGroup{direction}")
                    yield Finding(where=group.where, expected=expected, came=came)
