"""An EventBridge schedule that starts a machine or calls a function."""

from __future__ import annotations

import json

from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from infra.constructs.queue import Queue
from infra.constructs.role import Role
from infra.context import Context
from infra.iam import key, queues
from infra.iam.resource import Statement, resource


class Schedule(Construct):
    """Call one target by `expression` (UTC); the input says when it was due and which occurrence it is.

    A function is called asynchronously, and needs dead letters of its own:
    https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html"""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        context: Context,
        expression: str,
        dead: Queue,
        is_on: bool = True,
    ) -> None:
        super().__init__(scope, f"{name}-schedule")
        self._name = name
        self._context = context
        self._expression = expression
        self._dead = dead
        self._is_on = is_on

    def to_machine(self, machine_arn: str) -> None:
        """Start the machine."""
        self._to(machine_arn, resource("states", machine_arn).may("StartExecution"))

    def to_function(self, function_arn: str) -> None:
        """Call the function."""
        self._to(function_arn, resource("lambda", function_arn).may("InvokeFunction"))

    def _to(self, arn: str, call: Statement) -> None:
        name, context, dead = self._name, self._context, self._dead
        own = [call, queues.send(dead.dead_arn)]
        role = Role(
            self,
            f"{name}-schedule",
            context=context,
            service="scheduler.amazonaws.com",
            statements=[*own, key.use(context.key_arn, own)],
        )
        schedule = scheduler.CfnSchedule(
            self,
            "Resource",
            name=f"{context.names.prefix}-{name}",
            state="ENABLED" if self._is_on else "DISABLED",
            schedule_expression=self._expression,
            schedule_expression_timezone="UTC",
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            kms_key_arn=context.key_arn,
            target=scheduler.CfnSchedule.TargetProperty(
                arn=arn,
                role_arn=role.resource.attr_arn,
                input=json.dumps(
                    {
                        "cause": "<aws.scheduler.execution-id>",
                        "as_of": "<aws.scheduler.scheduled-time>",
                        "detail": {"workload": context.workload.name, "schedule": name},
                    }
                ),
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                    maximum_event_age_in_seconds=3600, maximum_retry_attempts=8
                ),
                dead_letter_config=scheduler.CfnSchedule.DeadLetterConfigProperty(arn=dead.dead_arn),
            ),
        )
        schedule.node.add_dependency(dead)
