"""A Standard state machine with its definition, role, log group and trace."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from millrace.infra.constructs.acknowledgement import acknowledge
from millrace.infra.constructs.log_group import log_group
from millrace.infra.constructs.role import machines_role, role_of
from millrace.infra.context import Context
from millrace.infra.iam import functions, log_groups
from millrace.infra.iam.resource import Statement
from millrace.infra.machines.states import Definition, in_partition, invoked

ACCEPTED = {"AwsSolutions-SF1": "The owner wants failures alone; an execution's history has every event for 90 days"}
"""The finding of cdk-nag in a machine that only logs failures, and why it is accepted."""


class Machine(Construct):
    """A machine of `infra/machines`, deployed as `<workload prefix>-<name>`.

    It may call the functions of its definition. `statements` are its other rights."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        context: Context,
        definition: Definition,
        statements: Sequence[Statement] = (),
    ) -> None:
        super().__init__(scope, f"{name}-machine")
        self.name = context.names.machine(name)
        self.arn = context.names.machine_arn(name)
        log = log_group(self, "Log", name=f"/aws/vendedlogs/states/{self.name}", owner=context)
        self.role = role_of(
            self,
            machines_role(context.component),
            context=context,
            service="states.amazonaws.com",
            statements=[
                log_groups.deliver(),
                log_groups.trace_executions(),
                functions.invoke(*invoked(definition)),
                *statements,
            ],
        )
        self.resource = stepfunctions.CfnStateMachine(
            self,
            "Resource",
            state_machine_name=self.name,
            state_machine_type="STANDARD",
            role_arn=self.role.resource.attr_arn,
            definition_string=cdk.Stack.of(self).to_json_string(in_partition(definition, context.platform.partition)),
            logging_configuration=stepfunctions.CfnStateMachine.LoggingConfigurationProperty(
                level="ERROR" if context.settings.machine_log == "errors" else "ALL",
                include_execution_data=context.settings.machine_log == "data",
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
        if context.settings.machine_log == "errors":
            acknowledge(self.resource, ACCEPTED)
