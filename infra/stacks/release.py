"""The release room: the machine `release`, its functions, and the role under which models are served."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_events as events

from millrace.infra.constructs.function import Function
from millrace.infra.constructs.job_role import job_role
from millrace.infra.constructs.log_group import log_group
from millrace.infra.constructs.machine import Machine
from millrace.infra.constructs.rule import Rule, pattern_of
from millrace.infra.iam import alarms, bus, iceberg, key, registry, sagemaker_endpoints, state_table, step_functions
from millrace.infra.iam.buckets import ARTEFACTS, LAKE
from millrace.infra.machines import release
from millrace.infra.machines.watching import judges, watching
from millrace.infra.stacks.workload import WorkloadStack
from millrace.messages.climb import FOLDER
from millrace.messages.events import EndpointWanted, ModelRegistered
from millrace.names import MODEL_ROLE, WorkloadNames
from millrace.release.registry import APPROVED, REJECTED
from millrace.settings.environment import Environment
from millrace.settings.release import ReleaseSettings

DECIDED = events.CfnRule.InputTransformerProperty(
    input_paths_map={"id": "$.id", "time": "$.time", "package": "$.detail.ModelPackageArn"},
    input_template='{"cause": <id>, "as_of": <time>, "detail": {"package_arn": <package>}}',
)
"""The input of the release of a version that a person has approved or refused."""

WANTED = events.CfnRule.InputTransformerProperty(
    input_paths_map={"id": "$.id", "time": "$.time", "run": "$.detail.run"},
    input_template='{"cause": <id>, "as_of": <time>, "rollback": {"reason": "it is asked for and asleep", '
    '"who": <run>, "restores": true}}',
)
"""The input of the release that makes an endpoint again which was stopped since nobody asked it."""


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
        self._functions()
        if judges(context):
            self._judge_phase()
        Machine(
            self,
            "release",
            context=context,
            definition=release.definition(context),
            statements=release.statements(context),
        )
        Rule(
            self,
            "registered",
            context=context,
            pattern=pattern_of(ModelRegistered, workload=names.workload),
            bus=context.platform.bus,
        ).to_machine(names.machine_arn("release"))
        if context.workload.rollout.idle:
            wanted = pattern_of(EndpointWanted, workload=names.workload)
            Rule(self, "wanted", context=context, pattern=wanted, bus=context.platform.bus).to_machine(
                names.machine_arn("release"), envelope=WANTED
            )
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

    def _judge_phase(self) -> None:
        context, names = self.context, self.context.names
        Function(
            self,
            "judge_phase",
            context=context,
            description="Judges a version in a phase of its release by what is known of it",
            role=self.room,
            settings=Environment(**context.environment()),
            statements=[
                state_table.own_items(names).may("GetItem", "PutItem", "DeleteItem"),
                state_table.append_audit(names),
                registry.versions(names).may("DescribeModelPackage", "UpdateModelPackage"),
                sagemaker_endpoints.challenger(names).may("InvokeEndpoint"),
                iceberg.tables(names, *context.workload.prediction.label_tables).may("GetTable"),
                LAKE.find(names, "decisions", FOLDER),
                LAKE.read(names, "decisions", "predictions", "iceberg", FOLDER, *self.kept_inputs),
                LAKE.write(names, FOLDER),
                *([state_table.reviews(names).may(*self._asks_people())] if context.workload.policy else []),
            ],
            timeout_s=600,
            memory_mb=2048,
        )

    def _asks_people(self) -> tuple[str, ...]:
        """The actions on the queue: people are asked; in `assisted` items also get another answer, and are read."""
        more = (
            ("UpdateItem", "DeleteItem", "BatchGetItem") if "assisted" in self.context.workload.rollout.phases else ()
        )
        return ("GetItem", "PutItem", *more)

    def _functions(self) -> None:
        context, names = self.context, self.context.names
        watches, climbs = bool(watching(context)), "A rollback stops the release of a version that is only watched"
        environment, items = (
            Environment(**context.environment()),
            state_table.own_items(names).may("GetItem", "PutItem"),
        )
        Function(
            self,
            "start_release",
            context=context,
            description="The release's lease, its package and signature, and what stands already",
            role=self.room,
            settings=ReleaseSettings(**context.environment(), approval=context.approval),
            statements=[
                state_table.own_items(names).may("Query", "GetItem", "PutItem", "DeleteItem"),
                state_table.append_audit(names),
                # Update: a version whose approval does not count waits again.
                registry.versions(names).may("DescribeModelPackage", "UpdateModelPackage"),
                ARTEFACTS.read(names, "runs"),
                ARTEFACTS.find(names, "runs"),
                key.verify(context.signing_key_arn),
                sagemaker_endpoints.both(names).may("DescribeEndpoint", "DeleteEndpoint"),
                sagemaker_endpoints.configs(names).may("DescribeEndpointConfig"),
                *(
                    [bus.put_events(names, EndpointWanted), state_table.own_items(names).may("UpdateItem")]
                    if context.workload.rollout.idle
                    else []
                ),
                *(
                    [step_functions.executions(names, "release", because=climbs).may("StopExecution")]
                    if watches
                    else []
                ),
            ],
        )
        Function(
            self,
            "smoke_test",
            context=context,
            description="Real rows to the challenger, the answers as evaluated",
            role=self.room,
            settings=environment,
            statements=[
                ARTEFACTS.read(names, "runs"),
                sagemaker_endpoints.challenger(names).may("InvokeEndpoint"),
            ],
            timeout_s=90,
        )
        Function(
            self,
            "advance_release",
            context=context,
            description="Move the release pointers, mark the package",
            role=self.room,
            settings=environment,
            statements=[
                items,
                state_table.append_audit(names),
                registry.versions(names).may("DescribeModelPackage", "UpdateModelPackage"),
                sagemaker_endpoints.live(names).may("DescribeEndpoint"),
                alarms.read_metrics(),
                *step_functions.askers(names, "release"),
            ],
        )
        Function(
            self,
            "tidy_release",
            context=context,
            description="Delete models and configurations before the previous version's",
            role=self.room,
            settings=environment,
            statements=[
                state_table.own_items(names).may("GetItem"),
                *sagemaker_endpoints.list_released(names),
                sagemaker_endpoints.both(names).may("DescribeEndpoint"),
                sagemaker_endpoints.configs(names).may("DeleteEndpointConfig"),
                sagemaker_endpoints.models(names).may("DeleteModel"),
            ],
            timeout_s=300,
        )
