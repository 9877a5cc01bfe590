"""The role of a SageMaker job or model: rights that every job needs, and rights on its own data."""

from __future__ import annotations

from collections.abc import Sequence

from constructs import Construct

from infra.constructs.acknowledgement import acknowledge
from infra.constructs.role import Role
from infra.context import Context
from infra.iam import alarms, key, log_groups, network, registry
from infra.iam.resource import Statement

JOBS_OF_IMAGE = {
    "training": ["TrainingJobs"],
    "processing": ["ProcessingJobs"],
    "inference": ["Endpoints", "TransformJobs"],
}
"""What each image runs as, unless a role says otherwise. SageMaker names log groups and namespaces of metrics so."""

ACCEPTED = {
    "CKV_AWS_109": "The permission that it gives away is SageMaker's own, to use the job's network interface",
    "CKV_AWS_111": "What it writes everywhere are network interfaces, which have no name before the job has them",
}
"""Findings of checkov in `network.attach_interfaces`, and why they are accepted."""


class JobRole(Construct):
    """The role `<workload prefix>-<owner>`, which SageMaker takes. The container has no network and no credentials."""

    def __init__(
        self,
        scope: Construct,
        owner: str,
        *,
        context: Context,
        image: str,
        statements: Sequence[Statement],
        kinds: Sequence[str] = (),
    ) -> None:
        super().__init__(scope, f"{owner}-job-role")
        kinds = kinds or JOBS_OF_IMAGE[image]
        # All jobs of a kind share a log group. An endpoint has one of its own.
        groups = [f"{kind}/{context.names.endpoint}" if kind == "Endpoints" else kind for kind in kinds]
        role = Role(
            self,
            owner,
            context=context,
            service="sagemaker.amazonaws.com",
            statements=[
                log_groups.write_jobs(context.names, groups),
                alarms.put_metrics([f"/aws/sagemaker/{kind}" for kind in kinds]),
                *registry.pull(context.names, image),
                network.attach_interfaces(),
                key.use(context.key_arn, statements),
                *([key.encrypt(context.key_arn)] if "Endpoints" not in kinds else []),
                key.lend(context.key_arn),
                *statements,
            ],
        )
        self.name, self.arn, self.resource = role.name, role.arn, role.resource
        acknowledge(self.resource, ACCEPTED)
