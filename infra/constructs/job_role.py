"""The role of a SageMaker job or model: what the platform does in its name, and the data it is given."""

from __future__ import annotations

from collections.abc import Sequence

from constructs import Construct

from infra.constructs.role import Role
from infra.constructs.statements import Statement, allow, use_key
from infra.context import Context

INTERFACES = (
    "ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission", "ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
)  # fmt: skip
"""To stand in the VPC; https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html asks them on `*`."""


class JobRole(Construct):
    """`<workload prefix>-<owner>`, taken by SageMaker. The container itself has no network and no credentials."""

    def __init__(
        self, scope: Construct, owner: str, *, context: Context, image: str, statements: Sequence[Statement]
    ) -> None:
        super().__init__(scope, f"{owner}-job-role")
        account = f"{context.platform.region}:{context.platform.account}"
        role = Role(
            self,
            owner,
            context=context,
            service="sagemaker.amazonaws.com",
            statements=[
                allow(
                    "logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents",
                    on=f"arn:aws:logs:{account}:log-group:/aws/sagemaker/*",
                ),
                allow(
                    "cloudwatch:PutMetricData",
                    on="*",
                    where={"StringEquals": {"cloudwatch:namespace": ["/aws/sagemaker/Endpoints", "Millrace"]}},
                ),
                allow("ecr:GetAuthorizationToken", on="*"),
                allow(
                    "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
                    on=f"arn:aws:ecr:{account}:repository/{context.platform.repository(image)}",
                ),
                allow(*INTERFACES, on="*"),
                use_key(context.key_arn),
                allow("kms:CreateGrant", on=context.key_arn, where={"Bool": {"kms:GrantIsForAWSResource": "true"}}),
                *statements,
            ],
        )  # fmt: skip
        self.name, self.arn, self.resource = role.name, role.arn, role.resource
