"""Rule: the stage's own subnets have an address for every instance that its endpoints may have at once.

https://docs.aws.amazon.com/sagemaker/latest/dg/host-vpc.html"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from millrace.infra.rules.assembly import Finding, Stack, given, resources, tasks

OF_AN_INSTANCE = 2
"""Private addresses of an instance."""
RESERVED = 5
"""Addresses of a subnet that AWS keeps: https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html"""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding if the subnets of the templates have too few addresses. A network of the account is not judged."""
    subnets = list(resources(stacks, "AWS::EC2::Subnet"))
    addresses = sum(2 ** (32 - int(one.properties["CidrBlock"].rpartition("/")[2])) - RESERVED for one in subnets)
    # An update has two fleets, and a release has its challenger.
    instances = sum(2 * given(task.parameters, "MaxCapacity") + 1 for task in tasks(stacks, "registerScalableTarget"))
    if subnets and OF_AN_INSTANCE * instances > addresses:
        expected = f"subnets with {OF_AN_INSTANCE * instances} addresses, for {instances} instances at once"
        yield Finding(where=subnets[0].where, expected=expected, came=addresses)
