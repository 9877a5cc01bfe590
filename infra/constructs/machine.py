"""A Standard state machine: definition, role, log group, trace."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from infra.constructs.role import Role
from infra.constructs.statements import Statement, allow, trace
from infra.context import Context
from infra.machines.states import Definition

DELIVERY = (
    "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
)  # fmt: skip
"""What Step Functions needs to log at all; these actions take no resource."""


class Machine(Construct):
    """One of `infra/machines`, deployed as `<workload prefix>-<name>`."""

    def __init__(
        self, scope: Construct, name: str, *, context: Context, definition: Definition, statements: Sequence[Statement]
    ) -> None:
        super().__init__(scope, f"{name}-machine")
        self.name = context.names.machine(name)
        self.arn = context.names.machine_arn(name)
        log_name = f"/aws/vendedlogs/states/{self.name}"
        log = logs.CfnLogGroup(
            self,
            "Log",
            log_group_name=log_name,
            retention_in_days=context.settings.log_retention_days,
            kms_key_id=context.key_arn,
        )
        self.role = Role(
            self,
            f"{name}-machine",
            context=context,
            service="states.amazonaws.com",
            statements=[
                allow(*DELIVERY, on="*", because="Log deliveries have no ARN; Step Functions asks for all"),
                trace(),
                *statements,
            ],
        )
        self.resource = stepfunctions.CfnStateMachine(
            self,
            "Resource",
            state_machine_name=self.name,
            state_machine_type="STANDARD",
            role_arn=self.role.resource.attr_arn,
            definition_string=cdk.Stack.of(self).to_json_string(definition),
            logging_configuration=stepfunctions.CfnStateMachine.LoggingConfigurationProperty(
                level="ALL",
                include_execution_data=True,
                destinations=[
                    stepfunctions.CfnStateMachine.LogDestinationProperty(
                        cloud_watch_logs_log_group=stepfunctions.CfnStateMachine.CloudWatchLogsLogGroupProperty(
                            log_group_arn=log.attr_arn
                        )
                    )
                ],
            ),
            tracing_configuration=stepfunctions.CfnStateMachine.TracingConfigurationProperty(enabled=True),
        )
