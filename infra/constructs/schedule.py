"""An EventBridge schedule that starts a machine or calls a function."""

from __future__ import annotations

import json
from typing import Self, cast

from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from millrace.infra.constructs.function import Function
from millrace.infra.constructs.role import machines_role, role_of
from millrace.infra.context import Context
from millrace.infra.iam import functions, key, queues
from millrace.infra.iam.resource import Statement
from millrace.messages.envelope import DELIVERED_WITHIN, DELIVERY_RETRIES

WINDOW_MINUTES = 15
"""A call may come so many minutes after its time. The calls of all workloads are due in the same minute, and together
they would exhaust Lambda's concurrency and SageMaker's quotas.
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-flexible-time-windows.html"""


class Schedule(Construct):
    """Makes the call that `target` allows by `expression`, in UTC. The input has the due time and the call's id.

    A function is called asynchronously: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html
    A call that cannot be delivered goes to the dead letters of the stage's events."""

    def __init__(
        self, scope: Construct, name: str, *, context: Context, expression: str, target: Statement, is_on: bool = True
    ) -> None:
        super().__init__(scope, f"{name}-schedule")
        own = [target, queues.send(context.dead_events_arn)]
        role = role_of(
            self,
            machines_role(context.component),
            context=context,
            service="scheduler.amazonaws.com",
            statements=[*own, key.use(context.key_arn, [target])],
        )
        scheduler.CfnSchedule(
            self,
            "Resource",
            name=f"{context.names.prefix}-{name}",
            state="ENABLED" if is_on else "DISABLED",
            schedule_expression=expression,
            schedule_expression_timezone="UTC",
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(
                mode="FLEXIBLE", maximum_window_in_minutes=WINDOW_MINUTES
            ),
            kms_key_arn=context.key_arn,
            target=scheduler.CfnSchedule.TargetProperty(
                arn=target.resources[0],
                role_arn=role.resource.attr_arn,
                input=json.dumps(
                    {
                        "cause": "<aws.scheduler.execution-id>",
                        "as_of": "<aws.scheduler.scheduled-time>",
                        "detail": {"workload": context.workload.name, "schedule": name},
                    }
                ),
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                    maximum_event_age_in_seconds=int(DELIVERED_WITHIN.total_seconds()),
                    maximum_retry_attempts=DELIVERY_RETRIES,
                ),
                dead_letter_config=scheduler.CfnSchedule.DeadLetterConfigProperty(arn=context.dead_events_arn),
            ),
        )

    @classmethod
    def of_function(cls, function: Function, *, context: Context, expression: str, is_on: bool = True) -> Self:
        """The schedule of a function, in the same scope and with the same name."""
        name, scope = function.node.id, cast("Construct", function.node.scope)
        target = functions.invoke(context.names.function_arn(name))
        schedule = cls(scope, name, context=context, expression=expression, target=target, is_on=is_on)
        schedule.node.add_dependency(function)
        return schedule
