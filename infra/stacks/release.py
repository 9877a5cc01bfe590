"""The release room: the machine `release`, its functions, and the role under which models are served."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_events as events

from millrace.infra.constructs.job_role import job_role
from millrace.infra.constructs.log_group import log_group
from millrace.infra.constructs.rule import Rule, pattern_of
from millrace.infra.iam import step_functions
from millrace.infra.iam.buckets import ARTEFACTS, LAKE
from millrace.infra.machines import release
from millrace.infra.machines.watching import watching
from millrace.infra.stacks.workload import WorkloadStack
from millrace.messages.events import ModelRegistered
from millrace.names import MODEL_ROLE, WorkloadNames
from millrace.release.registry import APPROVED, REJECTED

DECIDED = events.CfnRule.InputTransformerProperty(
    input_paths_map={"id": "$.id", "time": "$.time", "package": "$.detail.ModelPackageArn"},
    input_template='{"cause": <id>, "as_of": <time>, "detail": {"package_arn": <package>}}',
)
"""The input of the release of a version that a person has approved or refused."""


def decided(names: WorkloadNames) -> dict[str, Any]:
    """The pattern of SageMaker's event that a person has approved or refused a version.

    https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html#eventbridge-model-package"""
    return {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {"ModelPackageGroupName": [names.package_group], "ModelApprovalStatus": [APPROVED, REJECTED]},
    }


class ReleaseStack(WorkloadStack):
    """Releases each registered version. The machine makes the endpoints, not this stack."""

    room = "release"
    in_network = True
    has_signatures = True

    def build(self) -> None:
        context, names = self.context, self.context.names
        self._endpoint_logs()
        self._model_role()
        if watching(context) or context.workload.rollout.warm_hours:
            self.function("judge_phase")
        stops = "A rollback stops the release of a version that is only watched"
        stop = step_functions.executions(names, "release", because=stops).may("StopExecution")
        self.function("start_release", statements=[stop] if watching(context) else [], approval=context.approval)
        self.functions("judge_phase", "start_release")
        self.machine(release)
        Rule(
            self,
            "registered",
            context=context,
            pattern=pattern_of(ModelRegistered, workload=names.workload),
            bus=context.platform.bus,
        ).to_machine(names.machine_arn("release"))
        if context.approval == "person":
            Rule(self, "approved", context=context, pattern=decided(names), bus=None).to_machine(
                names.machine_arn("release"), envelope=DECIDED
            )

    def _endpoint_logs(self) -> None:
        """The log groups of the two endpoints. SageMaker would make them itself, without a key and for ever.

        https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html"""
        for kind, endpoint in (("live", self.context.names.endpoint), ("challenger", self.context.names.challenger)):
            log_group(self, f"{kind}-endpoint-log", name=f"/aws/sagemaker/Endpoints/{endpoint}", owner=self.context)

    def _model_role(self) -> None:
        """The role of endpoints and of batch transform, which takes the model's role for its input and output too."""
        names = self.context.names
        job_role(
            self,
            MODEL_ROLE,
            context=self.context,
            images=["inference"],
            kinds=["Endpoints", "TransformJobs"],
            statements=[
                ARTEFACTS.read(names, "runs"),
                ARTEFACTS.find(names, "runs"),
                LAKE.read(names, "staging"),
                LAKE.find(names, "staging"),
                LAKE.write(names, "staging"),
            ],
        )
