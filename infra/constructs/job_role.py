"""The role of SageMaker's jobs or models: rights that every job needs, and rights on its own data."""

from __future__ import annotations

from collections.abc import Sequence

from constructs import Construct

from millrace.infra.constructs.acknowledgement import acknowledge
from millrace.infra.constructs.role import role_of
from millrace.infra.context import Context
from millrace.infra.iam import alarms, key, log_groups, registry
from millrace.infra.iam.resource import Statement, every

ACCEPTED = {
    "CKV_AWS_109": "The permission that it gives away is SageMaker's own, to use the job's network interface",
    "CKV_AWS_111": "What it writes everywhere are network interfaces, which have no name before the job has them",
}
"""Findings of checkov in the rights on INTERFACES, and why they are accepted."""

INTERFACES = (
    "CreateNetworkInterface", "CreateNetworkInterfacePermission", "DeleteNetworkInterface",
    "DeleteNetworkInterfacePermission", "DescribeDhcpOptions", "DescribeNetworkInterfaces",
    "DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs",
)  # fmt: skip
"""Actions on network interfaces, which SageMaker's roles need on `*`:
https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html"""


def job_role(
    scope: Construct,
    owner: str,
    *,
    context: Context,
    images: Sequence[str],
    kinds: Sequence[str],
    statements: Sequence[Statement],
) -> None:
    """Make the role `<workload prefix>-<owner>`, which SageMaker takes. The containers have no network nor credentials.

    It runs these `images` as jobs of these `kinds`, which SageMaker names log groups and namespaces of metrics by."""
    # All jobs of a kind share a log group. An endpoint has one of its own.
    groups = [f"{kind}/{context.names.endpoint}" if kind == "Endpoints" else kind for kind in kinds]
    role = role_of(
        scope,
        owner,
        context=context,
        service="sagemaker.amazonaws.com",
        statements=[
            log_groups.write_jobs(context.names, groups),
            alarms.put_metrics([f"/aws/sagemaker/{kind}" for kind in kinds]),
            *(statement for image in images for statement in registry.pull(context.names, image)),
            every("ec2", because="They are made with the job; SageMaker asks for all").may(*INTERFACES),
            key.use(context.key_arn, statements),
            *([key.encrypt(context.key_arn)] if "Endpoints" not in kinds else []),
            key.lend(context.key_arn),
            *statements,
        ],
    )
    acknowledge(role.resource, ACCEPTED)
