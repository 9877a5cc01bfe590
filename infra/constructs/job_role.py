"""The role of a SageMaker job or model: what the platform does in its name, and the data it is given."""

from __future__ import annotations

from collections.abc import Sequence

from constructs import Construct

from infra.constructs.acknowledgement import acknowledge
from infra.constructs.role import Role
from infra.constructs.statements import Statement, allow, use_key
from infra.context import Context

INTERFACES = (
    "ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission", "ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
)  # fmt: skip
"""To stand in the VPC; https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html asks them on `*`."""

KINDS = {"training": ["TrainingJobs"], "processing": ["ProcessingJobs"], "inference": ["Endpoints", "TransformJobs"]}
"""What an image is run as, by which SageMaker names log groups and the namespaces of metrics."""

ACCEPTED = {
    "CKV_AWS_109": "The permission that it gives away is SageMaker's own, to use the job's network interface",
    "CKV_AWS_111": "What it writes everywhere are network interfaces, which have no name before the job has them",
}
"""What checkov finds in INTERFACES."""


class JobRole(Construct):
    """`<workload prefix>-<owner>`, taken by SageMaker. The container itself has no network and no credentials."""

    def __init__(
        self, scope: Construct, owner: str, *, context: Context, image: str, statements: Sequence[Statement]
    ) -> None:
        super().__init__(scope, f"{owner}-job-role")
        account = f"{context.platform.region}:{context.platform.account}"
        groups = [f"{kind}/{context.names.endpoint}" if kind == "Endpoints" else kind for kind in KINDS[image]]
        role = Role(
            self,
            owner,
            context=context,
            service="sagemaker.amazonaws.com",
            statements=[
                allow(
                    "logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents",
                    on=[f"arn:aws:logs:{account}:log-group:/aws/sagemaker/{group}*" for group in groups],
                    because="SageMaker makes one log group for each kind of job and one stream for each instance of it",
                ),
                allow(
                    "cloudwatch:PutMetricData",
                    on="*",
                    where={"StringEquals": {"cloudwatch:namespace": [f"/aws/sagemaker/{one}" for one in KINDS[image]]}},
                    because="PutMetricData takes no resource; the namespace is a condition",
                ),
                allow("ecr:GetAuthorizationToken", on="*", because="The action takes no resource"),
                allow(
                    "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
                    on=f"arn:aws:ecr:{account}:repository/{context.platform.repository(image)}",
                ),
                allow(*INTERFACES, on="*", because="They are made with the job; SageMaker asks for all"),
                use_key(context.key_arn, statements),
                *([allow("kms:Encrypt", on=context.key_arn)] if image != "inference" else []),
                allow("kms:CreateGrant", on=context.key_arn, where={"Bool": {"kms:GrantIsForAWSResource": "true"}}),
                *statements,
            ],
        )  # fmt: skip
        self.name, self.arn, self.resource = role.name, role.arn, role.resource
        acknowledge(self.resource, ACCEPTED)
