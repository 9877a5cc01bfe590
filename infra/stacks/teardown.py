"""The teardown room: the machine that `millrace down` starts before the stacks go, and its function."""

from __future__ import annotations

from collections.abc import Iterator

from infra.constructs.function import Function
from infra.constructs.machine import Machine
from infra.constructs.statements import Statement, allow, own_items
from infra.machines import teardown
from infra.machines.jobs import tags
from infra.stacks.workload import WorkloadStack
from millrace.names import MACHINES
from millrace.settings.environment import Environment

LISTED = (
    "application-autoscaling:DescribeScalableTargets", "cloudwatch:DescribeAlarms", "lambda:ListEventSourceMappings",
    "sagemaker:ListEndpointConfigs", "sagemaker:ListModelPackages", "sagemaker:ListModels",
    "sagemaker:ListProcessingJobs", "sagemaker:ListTrainingJobs", "sagemaker:ListTransformJobs",
    "scheduler:ListSchedules",
)  # fmt: skip
"""To look for what no template names; these actions take no resource."""
JOBS = ("Training", "Processing", "Transform")


class TeardownStack(WorkloadStack):
    """What machines made and no template knows goes by this one; the data and the audit stay."""

    room = "teardown"

    def build(self) -> None:
        context = self.context
        Function(
            self,
            "teardown",
            context=context,
            description="One step of a teardown: what it finds, it takes away",
            settings=Environment(**context.environment()),
            statements=[
                allow(
                    *LISTED, on="*", because="These lists take no resource; what they name is asked for by its own ARN"
                ),
                *self._starters(),
                *self._running(),
                *self._endpoints(),
                *self._versions(),
                self._tables(),
            ],
            timeout_s=300,
        )
        Machine(
            self,
            "teardown",
            context=context,
            definition=teardown.definition(context),
            statements=teardown.statements(context),
        )

    def _arn(self, service: str, resource: str) -> str:
        platform = self.context.platform
        return f"arn:aws:{service}:{platform.region}:{platform.account}:{resource}"

    def _starters(self) -> Iterator[Statement]:
        """A schedule is replaced whole, so its role is passed again and its key is asked."""
        names, bus = self.context.names, self.context.platform.bus
        rules = [self._arn("events", f"rule/{names.prefix}-*"), self._arn("events", f"rule/{bus}/{names.prefix}-*")]
        yield allow("events:ListRuleNamesByTarget", on="*", because="The action takes no resource but a rule's name")
        yield allow("events:DescribeRule", "events:DisableRule", on=rules, because="Whatever rules the workload has")
        schedules = self._arn("scheduler", f"schedule/default/{names.prefix}-*")
        yield allow(
            "scheduler:GetSchedule",
            "scheduler:UpdateSchedule",
            on=schedules,
            because="Whatever schedules the workload has",
        )
        passed = {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
        yield allow(
            "iam:PassRole", on=[names.role_arn(f"{one}-schedule") for one in ("monitor", "retrain")], where=passed
        )
        yield allow("kms:DescribeKey", on=self.context.key_arn)
        intake = {"ArnEquals": {"lambda:FunctionArn": names.function_arn("intake")}}
        yield allow(
            "lambda:UpdateEventSourceMapping",
            on=self._arn("lambda", "event-source-mapping:*"),
            where=intake,
            because="A mapping is named by an id that Lambda gives; the function is a condition",
        )

    def _running(self) -> Iterator[Statement]:
        names = self.context.names
        yield allow("states:ListExecutions", on=[names.machine_arn(machine) for machine in MACHINES])
        yield allow(
            "states:StopExecution",
            on=[names.execution_arn(machine) for machine in MACHINES],
            because="Whatever executions of this machine run",
        )
        (tag,) = tags(self.context)
        listed = [self._arn("sagemaker", f"{kind.lower()}-job/*") for kind in JOBS]
        yield allow("sagemaker:ListTags", on=listed, because="Whose a job is, its tags say")
        for kind in JOBS:
            jobs = self._arn("sagemaker", f"{kind.lower()}-job/*")
            yield allow(
                f"sagemaker:Describe{kind}Job",
                f"sagemaker:Stop{kind}Job",
                on=jobs,
                where={"StringEquals": {f"aws:ResourceTag/{tag['Key']}": tag["Value"]}},
                because="A job is named by a hash of its execution; those of the workload are known by their tag",
            )

    def _endpoints(self) -> Iterator[Statement]:
        stood = [self.context.names.endpoint, self.context.names.challenger]
        targets = self._arn("application-autoscaling", "scalable-target/*")
        yield allow(
            "application-autoscaling:DeregisterScalableTarget",
            on=targets,
            because="A scalable target is named by an id that Auto Scaling gives",
        )
        named = [self._arn("sagemaker", f"endpoint/{name}") for name in stood]
        yield allow("sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint", on=named)
        logs = [self._arn("logs", f"log-group:/aws/sagemaker/Endpoints/{name}:*") for name in stood]
        yield allow("logs:DeleteLogGroup", on=logs, because="Its streams go with the group of the endpoint")

    def _versions(self) -> Iterator[Statement]:
        names, platform = self.context.names, self.context.platform
        made, tracking = f"alarm:{names.prefix}-v*", f"alarm:TargetTracking-endpoint/{names.endpoint}/*"
        yield allow(
            "cloudwatch:DeleteAlarms",
            on=[self._arn("cloudwatch", one) for one in (made, tracking)],
            because="The alarms of a release are named by its version, those of target tracking by Auto Scaling",
        )
        config, model = f"endpoint-config/{names.prefix}-v*", f"model/{names.prefix}-v*"
        yield allow(
            "sagemaker:DescribeEndpointConfig",
            "sagemaker:DeleteEndpointConfig",
            on=self._arn("sagemaker", config),
            because="One for each version and release",
        )
        yield allow(
            "sagemaker:DescribeModel",
            "sagemaker:DeleteModel",
            on=self._arn("sagemaker", model),
            because="A model is named by the version and the release that it serves",
        )
        package = f"model-package/{names.package_group}/*"
        yield allow(
            "sagemaker:DeleteModelPackage",
            on=self._arn("sagemaker", package),
            because="The registry counts the versions of the workload's own group",
        )
        own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [names.workload]}}
        yield allow("dynamodb:GetItem", "dynamodb:PutItem", on=platform.table_arn(platform.state_table), where=own)
        yield own_items(platform.table_arn(platform.audit_table), names.workload, "PutItem")

    def _tables(self) -> Statement:
        names, database = self.context.names, self.context.platform.database
        tables = [f"table/{database}/{names.table(table)}" for table in ("rows", "labels")]
        return allow(
            "glue:GetTable",
            "glue:DeleteTable",
            on=[self._arn("glue", one) for one in ("catalog", f"database/{database}", *tables)],
        )
