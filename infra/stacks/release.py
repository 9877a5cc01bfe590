"""The release room: the machine release, its functions, and the role under which models are served."""

from __future__ import annotations

from infra.constructs.function import Function
from infra.constructs.job_role import JobRole
from infra.constructs.machine import Machine
from infra.constructs.queue import Queue
from infra.constructs.rule import Rule, pattern_of
from infra.constructs.statements import Statement, allow, list_objects, own_items, read_objects, write_objects
from infra.machines import release
from infra.stacks.workload import WorkloadStack
from millrace.messages.events import ModelRegistered
from millrace.settings.environment import Environment


class ReleaseStack(WorkloadStack):
    """Release each registered version; endpoints are made by the machine."""

    room = "release"
    in_network = True

    def build(self) -> None:
        context, names = self.context, self.context.names
        dead = Queue(self, "release-events", context=context, visibility_s=60, senders=["events.amazonaws.com"])
        self._model_role()
        self._functions()
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
            dead=dead,
        ).to_machine(names.machine_arn("release"))

    def _model_role(self) -> None:
        """Of endpoints and of batch transform, which takes the model's role for its input and output too."""
        platform, workload = self.context.platform, self.context.names.workload
        staging = f"{workload}/staging/"
        JobRole(
            self,
            release.MODEL_ROLE,
            context=self.context,
            image="inference",
            statements=[
                read_objects(platform.bucket("artefacts"), f"{workload}/runs/"),
                list_objects(platform.bucket("artefacts"), f"{workload}/runs/"),
                read_objects(platform.bucket("lake"), staging),
                list_objects(platform.bucket("lake"), staging),
                write_objects(platform.bucket("lake"), staging),
            ],
        )

    def _functions(self) -> None:
        context, names, platform = self.context, self.context.names, self.context.platform
        account = f"{platform.region}:{platform.account}"
        endpoints = [f"arn:aws:sagemaker:{account}:endpoint/{name}" for name in (names.endpoint, names.challenger)]
        package = f"arn:aws:sagemaker:{account}:model-package/{names.package_group}/*"
        versions = "The registry counts the versions of the workload's own group"
        Function(
            self,
            "start_release",
            context=context,
            description="The release's lease, its package, and what stands already",
            settings=Environment(**context.environment()),
            statements=[
                self._table(),
                allow("sagemaker:DescribeModelPackage", on=package, because=versions),
                allow("sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint", on=endpoints),
            ],
        )
        Function(
            self,
            "smoke_test",
            context=context,
            description="Real rows to the challenger, the answers as evaluated",
            settings=Environment(**context.environment()),
            statements=[
                read_objects(platform.bucket("artefacts"), f"{names.workload}/runs/"),
                allow("sagemaker:InvokeEndpoint", on=endpoints[1]),
            ],
            timeout_s=90,
        )
        Function(
            self,
            "advance_release",
            context=context,
            description="Move the release pointers, approve the package",
            settings=Environment(**context.environment()),
            statements=[
                self._table(),
                own_items(platform.table_arn(platform.audit_table), names.workload, "PutItem"),
                allow("sagemaker:DescribeModelPackage", "sagemaker:UpdateModelPackage", on=package, because=versions),
            ],
        )

    def _table(self) -> Statement:
        """The workload's own items of the state table."""
        platform = self.context.platform
        return allow(
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            on=platform.table_arn(platform.state_table),
            where={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [self.context.names.workload]}},
        )
