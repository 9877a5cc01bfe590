"""One check of the doctor, and those of a network of the account's own and of Lake Formation.

An account may let Lake Formation decide about the Glue database and tables too. Then Glue refuses every call of our
roles until Lake Formation grants them access as well:
https://docs.aws.amazon.com/lake-formation/latest/dg/change-settings.html"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from millrace.console.environment import Environment
from millrace.console.stages import declared_options
from millrace.console.words import column

Verdict = Literal["ok", "absent", "missing", "unknown"]
"""How a requirement was found:

- `ok`: it is met.
- `missing`: it is not met, and a newcomer cannot go on.
- `absent`: it is not there and need not be.
- `unknown`: it could not be looked at from here, or it is not known to hold."""
MARKS = {"ok": "✓", "absent": "·", "missing": "✗", "unknown": "?"}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One requirement and whether it is met."""

    name: str = column(heading="what")
    needed: str = column()
    """What is required, in words."""
    found: str = column()
    """What there is, in words."""
    verdict: Verdict = column(MARKS.__getitem__, heading="", first=True)
    advice: str = column(heading="do")
    """What to do about it; empty if nothing has to be done."""


def judged(name: str, needed: str, found: str, verdict: Verdict | bool, advice: str = "") -> Check:
    """A check with its advice, unless it is ok. `verdict` may say whether the requirement is met."""
    if isinstance(verdict, bool):
        verdict = "ok" if verdict else "missing"
    return Check(name=name, needed=needed, found=found, verdict=verdict, advice="" if verdict == "ok" else advice)


HTTPS = 443
EVERYWHERE = "0.0.0.0/0"
EVERY_PROTOCOL = "-1"
"""EC2's word for all protocols."""


def check_network(environment: Environment) -> Iterator[Check]:
    """For each subnet its way to S3, and whether the security group lets traffic out to S3.

    Nothing for a stage in the platform's own network. The policy of an endpoint and a firewall behind another route are
    not looked at."""
    network = declared_options(environment.platform.stage).get("network")
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
    name, needed, where = f"network {subnet}", "a gateway endpoint of S3 in its route table", table["RouteTableId"]
    if other := "" if gateways else _other_way(table, endpoints):
        advice = "a gateway endpoint costs nothing; see that this leads there"
        return judged(name, needed, f"none, but {other}", "unknown", advice)
    create = f"aws ec2 create-vpc-endpoint --vpc-id {vpc} --service-name {service} --route-table-ids {where}"
    return judged(name, needed, f"{gateways[0] if gateways else 'none'} in {where}", bool(gateways), create)


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


def _group(client: Any, group: str) -> Check:
    let = client.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
    is_open = any(_leads_to_s3(one) for one in let)
    needed, found = f"out on {HTTPS} to S3's prefix list or everywhere", "let out" if is_open else "held back"
    advice = f"allow TCP {HTTPS} out to the prefix list of S3: its addresses are not in the VPC"
    return judged(f"network {group}", needed, found, is_open, advice)


def _leads_to_s3(permission: Mapping[str, Any]) -> bool:
    """Whether a rule of the security group lets HTTPS out to everywhere or to a prefix list."""
    # A permission for all protocols names no ports.
    ports = permission.get("FromPort", 0) <= HTTPS <= permission.get("ToPort", 65_535)
    is_https = permission["IpProtocol"] == EVERY_PROTOCOL or (permission["IpProtocol"] == "tcp" and ports)
    is_everywhere = any(one["CidrIp"] == EVERYWHERE for one in permission.get("IpRanges", []))
    return is_https and (is_everywhere or bool(permission.get("PrefixListIds")))


EVERYONE = "IAM_ALLOWED_PRINCIPALS"
"""Lake Formation's group of all principals whom IAM lets in."""
GRANT = {"Principal": {"DataLakePrincipalIdentifier": EVERYONE}, "Permissions": ["ALL"]}
"""The entry of the settings by which IAM alone decides."""
OF_TABLES = "CreateTableDefaultPermissions"
"""The setting for new tables of a database."""
DEFAULTS = ("CreateDatabaseDefaultPermissions", OF_TABLES)
"""The account's settings for new databases and new tables."""
BY_WHOM = "as an administrator of Lake Formation"


def check_lake_formation(environment: Environment) -> Iterator[Check]:
    """The check of the database if the stage is deployed, else of the account's settings for new databases.

    The account's settings apply only to what is made later; a database that exists keeps its own."""
    name, glue = environment.platform.database, environment.client("glue")
    try:
        database = glue.get_database(Name=name)["Database"]
    except glue.exceptions.EntityNotFoundException:
        yield _of_account(environment.client("lakeformation").get_data_lake_settings()["DataLakeSettings"])
    else:
        yield _of_database(name, database)


def _of_account(settings: Mapping[str, Any]) -> Check:
    """The check of the account's settings, with a command that changes them."""
    off = [default for default in DEFAULTS if not _lets_in(settings, default)]
    # The call replaces all settings of the account, so the present ones are repeated in it.
    whole = json.dumps({**settings, **{default: [GRANT] for default in DEFAULTS}})
    command = f"aws lakeformation put-data-lake-settings --data-lake-settings {shlex.quote(whole)}"
    found = f"not in {', '.join(off)}" if off else "as needed"
    advice = f"{BY_WHOM}, until the stage is deployed: {command}"
    return judged("Lake Formation", f"{EVERYONE} by default", found, not off, advice)


def _of_database(name: str, database: Mapping[str, Any]) -> Check:
    """The check of a database. `unknown` if IAM alone does not decide: roles may have been granted access one by one,
    which is not looked at."""
    # What counts are the defaults for the tables that are made in this database.
    is_good = _lets_in(database, OF_TABLES)
    grant = (
        f"aws lakeformation grant-permissions --principal DataLakePrincipalIdentifier={EVERYONE} --permissions ALL "
        f"--resource {shlex.quote(json.dumps({'Database': {'Name': name}}))}"
    )
    found = "as needed" if is_good else f"not in {OF_TABLES} of database {name}"
    advice = f"{BY_WHOM}, unless our roles are granted there, so and for each table: {grant}"
    return judged("Lake Formation", f"{EVERYONE} by default", found, "ok" if is_good else "unknown", advice)


def _lets_in(settings: Mapping[str, Any], default: str) -> bool:
    """Whether the setting `default` grants everything to all whom IAM lets in."""
    return any(
        one["Principal"]["DataLakePrincipalIdentifier"] == EVERYONE and "ALL" in one["Permissions"]
        for one in settings.get(default, [])
    )
