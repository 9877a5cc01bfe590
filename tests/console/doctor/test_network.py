"""Whether a network of the account's own leads to S3: by which route table, and past its security group."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from millrace.console.doctor.checks import check_network
from millrace.names import Platform
from tests.console.conftest import DEV, stage_of

S3 = "com.amazonaws.eu-west-1.s3"
OUT = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}


class OwnNetwork:
    """A VPC with two subnets, of which the first has a route table of its own."""

    def __init__(self) -> None:
        self.client = boto3.client("ec2", "eu-west-1")
        self.vpc = self.client.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            self.client.create_subnet(VpcId=self.vpc, CidrBlock=f"10.0.{index}.0/24")["Subnet"]["SubnetId"]
            for index in range(2)
        ]
        self.own = self.client.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        self.client.associate_route_table(RouteTableId=self.own, SubnetId=self.subnets[0])
        main = [{"Name": "vpc-id", "Values": [self.vpc]}, {"Name": "association.main", "Values": ["true"]}]
        self.main = self.client.describe_route_tables(Filters=main)["RouteTables"][0]["RouteTableId"]
        self.group = self.client.create_security_group(GroupName="jobs", Description="Jobs", VpcId=self.vpc)["GroupId"]

    def add_endpoint(self, *tables: str, service: str = S3) -> None:
        self.client.create_vpc_endpoint(
            VpcId=self.vpc, ServiceName=service, VpcEndpointType="Gateway", RouteTableIds=list(tables)
        )

    def let_out(self, **destination: Any) -> None:
        every = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        self.client.revoke_security_group_egress(GroupId=self.group, IpPermissions=every)
        self.client.authorize_security_group_egress(GroupId=self.group, IpPermissions=[OUT | destination])


@pytest.fixture
def network(tmp_path: Path, account: None, monkeypatch: pytest.MonkeyPatch) -> OwnNetwork:
    """That of the stage `dev`, which a `cdk.json` beside the folder of workloads names."""
    (tmp_path / "workloads").mkdir()
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path / "workloads"))
    made = OwnNetwork()
    options = {"network": {"subnets": made.subnets, "security_group": made.group}}
    (tmp_path / "cdk.json").write_text(json.dumps({"context": {"stages": {"dev": options}}}))
    return made


def verdicts(platform: Platform = DEV) -> list[str]:
    return [check.verdict for check in check_network(stage_of(platform))]


def test_each_subnet_needs_the_endpoint_in_its_own_route_table(network: OwnNetwork) -> None:
    assert verdicts() == ["missing", "missing", "ok"]
    network.add_endpoint(network.own)
    assert verdicts() == ["ok", "missing", "ok"]
    network.add_endpoint(network.main)
    assert verdicts() == ["ok", "ok", "ok"]


def test_an_endpoint_of_another_service_or_region_is_none(network: OwnNetwork) -> None:
    for service in ("com.amazonaws.us-east-1.s3", "com.amazonaws.eu-west-1.dynamodb"):
        network.add_endpoint(network.own, network.main, service=service)
    assert verdicts() == ["missing", "missing", "ok"]


def test_another_way_may_lead_there(network: OwnNetwork) -> None:
    gateway = network.client.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    network.client.create_route(RouteTableId=network.own, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    assert verdicts() == ["unknown", "missing", "ok"]


def test_a_group_that_lets_out_to_the_vpc_alone_holds_s3_back(network: OwnNetwork) -> None:
    network.let_out(IpRanges=[{"CidrIp": "10.0.0.0/16"}])
    assert verdicts()[-1] == "missing"


def test_a_group_may_let_out_to_the_prefix_list(network: OwnNetwork) -> None:
    network.let_out(PrefixListIds=[{"PrefixListId": "pl-6da54004"}])
    assert verdicts()[-1] == "ok"


def test_the_platforms_own_network_is_not_looked_at(network: OwnNetwork) -> None:
    assert verdicts(Platform(stage="prod", account="123456789012", region="eu-west-1")) == []
