"""The teardown room: the machine that `millrace down` starts before it deletes the stacks, and its function."""

from __future__ import annotations

from collections.abc import Iterator

from millrace.infra.constructs.function import Function
from millrace.infra.constructs.role import machines_role
from millrace.infra.iam import (
    alarms,
    bus,
    iceberg,
    queues,
    registry,
    sagemaker_endpoints,
    sagemaker_jobs,
    state_table,
    step_functions,
)
from millrace.infra.iam.resource import Statement, every, resource
from millrace.infra.machines import teardown
from millrace.infra.stacks.workload import WorkloadStack
from millrace.names import MACHINES, STARTING_QUEUES, TABLES
from millrace.settings.environment import Environment

LISTED = (
    "application-autoscaling:DescribeScalableTargets", "cloudwatch:DescribeAlarms", "lambda:ListEventSourceMappings",
    "sagemaker:ListEndpointConfigs", "sagemaker:ListHyperParameterTuningJobs", "sagemaker:ListModelPackages",
    "sagemaker:ListModels", "sagemaker:ListProcessingJobs", "sagemaker:ListTrainingJobs",
    "sagemaker:ListTransformJobs", "scheduler:ListSchedules",
)  # fmt: skip
"""Actions that look for resources that no template names. They take no resource."""
SCHEDULING = ("ingestion", "training", "monitoring")
"""The rooms with schedules."""
JOBS = ("HyperParameterTuning", "Training", "Processing", "Transform")


class TeardownStack(WorkloadStack):
    """Deletes what machines have made and no template manages. Data and audit stay."""

    room = "teardown"

    def build(self) -> None:
        context, names = self.context, self.context.names
        Function(
            self,
            "teardown",
            context=context,
            role=machines_role(self.room),
            settings=Environment(**context.environment()),
            statements=[
                every("", because="These lists take no resource; what they name is asked for by its own ARN").may(
                    *LISTED
                ),
                *self._starters(),
                *self._running(),
                *self._endpoints(),
                *self._versions(),
                iceberg.tables(names, *TABLES).may("GetTable", "DeleteTable"),
            ],
            timeout_s=300,
        )
        self.machine(teardown)

    def _starters(self) -> Iterator[Statement]:
        """The rights of the step `starters`. A schedule is replaced as a whole: its role is passed, its key is used."""
        names = self.context.names
        unnamed = "The action takes no resource but a rule's name"
        yield every("events", because=unnamed).may("ListRuleNamesByTarget")
        yield bus.rules(names).may("DescribeRule", "DisableRule")
        yield bus.schedules(names).may("GetSchedule", "UpdateSchedule")
        roles = [machines_role(room) for room in SCHEDULING]
        yield sagemaker_jobs.pass_roles(names, *roles, to="scheduler.amazonaws.com")
        yield resource("kms", self.context.key_arn).may("DescribeKey")
        for function in STARTING_QUEUES.values():
            yield queues.feeds_of(names, function).may("UpdateEventSourceMapping")

    def _running(self) -> Iterator[Statement]:
        names = self.context.names
        yield step_functions.machines(names, *MACHINES).may("ListExecutions")
        running = "Whatever executions of this machine run"
        yield step_functions.executions(names, *MACHINES, because=running).may("StopExecution")
        yield sagemaker_jobs.jobs(names, *JOBS).may("ListTags")
        yield from (sagemaker_jobs.own(names, kind).may(f"Stop{kind}Job") for kind in JOBS)

    def _endpoints(self) -> Iterator[Statement]:
        names = self.context.names
        yield sagemaker_endpoints.scalable_targets(names).may("DeregisterScalableTarget")
        yield sagemaker_endpoints.both(names).may("DescribeEndpoint", "DeleteEndpoint")

    def _versions(self) -> Iterator[Statement]:
        names = self.context.names
        yield (alarms.of_releases(names) + alarms.of_scaling(names)).may("DeleteAlarms")
        yield sagemaker_endpoints.configs(names).may("DescribeEndpointConfig", "DeleteEndpointConfig")
        yield sagemaker_endpoints.models(names).may("DescribeModel", "DeleteModel")
        yield registry.versions(names).may("DeleteModelPackage")
        yield state_table.own_items(names).may("GetItem", "PutItem")
        yield state_table.append_audit(names)
