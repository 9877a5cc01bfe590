"""A dev stage whose network is spoilt in one place after the other: the rule finds each, and says where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from millrace.infra.rules.assembly import Stack, read
from millrace.infra.rules.catalogue import findings

Templates = dict[str, dict[str, Any]]
PLATFORM, INGESTION = "millrace-dev-platform", "millrace-dev-electricity-ingestion"


def endpoint(templates: Templates) -> dict[str, Any]:
    found: dict[str, Any] = templates[PLATFORM]["Resources"]["S3Endpoint"]["Properties"]
    return found


def remove_associations(templates: Templates) -> None:
    for name in ("Routea", "Routeb"):
        del templates[PLATFORM]["Resources"][name]


def remove_one_association(templates: Templates) -> None:
    del templates[PLATFORM]["Resources"]["Routeb"]


def remove_route_tables(templates: Templates) -> None:
    del endpoint(templates)["RouteTableIds"]


def name_another_route_table(templates: Templates) -> None:
    resources = templates[PLATFORM]["Resources"]
    resources["Others"] = resources["Routes"]
    endpoint(templates)["RouteTableIds"] = [{"Ref": "Others"}]


def policy(action: str, resource: str) -> Callable[[Templates], None]:
    statement = {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": resource}

    def spoil(templates: Templates) -> None:
        endpoint(templates)["PolicyDocument"] = {"Version": "2012-10-17", "Statement": [statement]}

    return spoil


def name_another_region(templates: Templates) -> None:
    endpoint(templates)["ServiceName"] = "com.amazonaws.us-east-1.s3"


def ingestion_function(templates: Templates) -> dict[str, Any]:
    resources = templates[INGESTION]["Resources"]
    (properties,) = (
        one["Properties"]
        for name, one in resources.items()
        if one["Type"] == "AWS::Lambda::Function" and name.startswith("ingestion")
    )
    found: dict[str, Any] = properties
    return found


def move_function(templates: Templates) -> None:
    def read_at_deployment(name: str) -> str:
        return f"{{{{resolve:ssm:/millrace-dev/{name}}}}}"

    ingestion_function(templates)["VpcConfig"] = {
        "SubnetIds": [read_at_deployment("subnet-0"), read_at_deployment("subnet-1")],
        "SecurityGroupIds": [read_at_deployment("security-group")],
    }


def move_function_elsewhere(templates: Templates) -> None:
    ingestion_function(templates)["VpcConfig"] = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}


def publish(name: str, value: Any) -> Callable[[Templates], None]:
    def spoil(templates: Templates) -> None:
        templates[PLATFORM]["Resources"][f"{name}parameter"]["Properties"]["Value"] = value

    return spoil


def publish_elsewhere(templates: Templates) -> None:
    templates[PLATFORM]["Resources"]["subnet0parameter"]["Properties"]["Name"] = "/millrace-dev/subnet"


SPOILT: dict[str, tuple[Callable[[Templates], None], str]] = {
    "no association": (remove_associations, "Subneta (AWS::EC2::Subnet): expected a route table with a gateway"),
    "one association": (remove_one_association, "Subnetb (AWS::EC2::Subnet): expected a route table with a gateway"),
    "no route table": (remove_route_tables, "expected a route table with a gateway endpoint of s3 in eu-west-1"),
    "another route table": (name_another_route_table, "'com.amazonaws.eu-west-1.s3': ['millrace-dev-platform/Others']"),
    "another bucket": (policy("s3:*", "arn:aws:s3:::another/*"), "S3Endpoint (AWS::EC2::VPCEndpoint): expected a"),
    "reading alone": (policy("s3:GetObject", "*"), "s3:PutObject on arn:aws:s3:::millrace-dev-artefacts"),
    "another region": (name_another_region, "'com.amazonaws.us-east-1.s3'"),
    "a function": (move_function, "a route table with a gateway endpoint of dynamodb"),
    "a function elsewhere": (move_function_elsewhere, "(AWS::Lambda::Function): expected subnets of the stage's"),
    "another subnet": (publish("subnet0", "subnet-0a1b2c3d"), "expected subnets of the stage's network"),
    "another group": (publish("securitygroup", "sg-0a1b2c3d"), "expected a security group of its network"),
    "another name": (publish_elsewhere, "got ['/millrace-dev/subnet-0', 'millrace-dev-platform/Subnetb', "),
}  # fmt: skip


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_network_is_found(assemblies: dict[str, Path], case: str) -> None:
    spoil, said = SPOILT[case]
    templates = {one.name: json.loads(json.dumps(one.template)) for one in read(assemblies["dev"])}
    spoil(templates)
    found = findings([Stack(name=name, template=template) for name, template in templates.items()])
    assert found
    assert all(one.startswith("network-reach: ") for one in found)
    assert any(said in one for one in found), found
