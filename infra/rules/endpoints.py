"""Reads where an endpoint of a VPC leads to: its service, its private names, and the calls that its policy allows."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from millrace.infra.rules.assembly import Finding, Resource, Stack, given, listed, text
from millrace.infra.rules.network import Call

OWN_REGION = "<AWS::Region>"
NAMES = {"cloudwatch": "monitoring", "sagemaker": "sagemaker.api"}
"""Names in endpoints of services that IAM calls otherwise.
https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html"""


def leads_to(endpoint: Resource, service: str, regions: Collection[str]) -> bool:
    """Whether the endpoint leads to the service in one of these regions, or in the template's own region.

    Without regions every region will do."""
    # A template has the region as text, as a Ref, or within an Fn::Sub.
    name = text(endpoint.properties.get("ServiceName", "")).replace("${AWS::Region}", OWN_REGION).strip("<>")
    region = "|".join(map(re.escape, [*regions, OWN_REGION])) if regions else ".+"
    wanted = rf"(cn\.)?com\.amazonaws\.({region})\.{re.escape(NAMES.get(service, service))}"
    return re.fullmatch(wanted, name) is not None


def refused(endpoint: Resource, calls: Collection[Call], names: Mapping[str, str]) -> list[str]:
    """The calls that the endpoint's policy refuses, as `<action> on <resource>`. Without a policy there are none.

    `names` are the ARNs of resources by the reference that a policy has for them (`<Lake.Arn>`). Conditions are only
    known when a call is made. So an Allow with a condition counts as an Allow, and a Deny with a condition does not
    count."""
    document = endpoint.properties.get("PolicyDocument")
    if not document:
        return []
    policy = json.loads(document) if isinstance(document, str) else document
    statements = listed(policy["Statement"])
    let = [one for one in statements if one["Effect"] == "Allow" and _is_for_everybody(one)]
    held = [one for one in statements if one["Effect"] == "Deny" and "Condition" not in one]
    return [
        f"{call.action} on {call.resource}"
        for call in calls
        if not any(_speaks_of(one, call, names) for one in let) or any(_speaks_of(one, call, names) for one in held)
    ]


def _is_for_everybody(statement: Mapping[str, Any]) -> bool:
    """Whether the principal is everybody. A gateway endpoint takes no other principal, and a condition narrows it."""
    principal = statement.get("Principal")
    return "*" in listed(principal.get("AWS", []) if isinstance(principal, Mapping) else principal)


def _speaks_of(statement: Mapping[str, Any], call: Call, names: Mapping[str, str]) -> bool:
    actions = any(_fits(str(one).lower(), call.action.lower()) for one in listed(statement.get("Action", [])))
    patterns = [_named(text(one), names) for one in listed(statement.get("Resource", []))]
    return actions and any(_fits(pattern, _named(call.resource, names)) for pattern in patterns)


def _named(arn: str, names: Mapping[str, str]) -> str:
    """The ARN without its partition, and with names in place of references to the template's resources."""
    for reference, name in names.items():
        arn = arn.replace(reference, name)
    return re.sub(r"^arn:[^:]+:", "arn::", arn)


def _fits(pattern: str, value: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value) is not None


def check_private_names(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each VPC endpoint with private DNS in a network without DNS names.

    https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html"""
    for stack in stacks:
        # By the text of a reference to the network, as a property has it.
        networks = {f"<{one.logical_id}>": one for one in stack.resources("AWS::EC2::VPC")}
        for endpoint in stack.resources("AWS::EC2::VPCEndpoint"):
            network = networks.get(text(endpoint.properties.get("VpcId", "")))
            if network and given(endpoint.properties, "PrivateDnsEnabled") is True and not _has_names(network):
                expected = "EnableDnsSupport and EnableDnsHostnames of its network for PrivateDnsEnabled"
                yield Finding(where=endpoint.where, expected=expected, came=network.where)


def _has_names(network: Resource) -> bool:
    """Whether the network has DNS names. CloudFormation's defaults are DNS support, but no host names."""
    support = network.properties.get("EnableDnsSupport", True)
    return support is True and network.properties.get("EnableDnsHostnames") is True
