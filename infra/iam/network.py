"""Rights on the network in which jobs and models run."""

from __future__ import annotations

from millrace.infra.iam.resource import Statement, every

INTERFACES = (
    "CreateNetworkInterface", "CreateNetworkInterfacePermission", "DeleteNetworkInterface",
    "DeleteNetworkInterfacePermission", "DescribeDhcpOptions", "DescribeNetworkInterfaces",
    "DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs",
)  # fmt: skip
"""Actions on network interfaces, which SageMaker's roles need on `*`:
https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html"""


def attach_interfaces() -> Statement:
    """Make and delete the network interface of a job."""
    return every("ec2", because="They are made with the job; SageMaker asks for all").may(*INTERFACES)
