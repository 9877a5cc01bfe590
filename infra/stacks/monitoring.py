"""The monitoring room: the machine that judges windows, its schedule, the alarms on what it publishes."""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch

from infra.constructs.function import Function
from infra.constructs.job_role import JobRole
from infra.constructs.machine import Machine
from infra.constructs.queue import Queue
from infra.constructs.schedule import Schedule
from infra.constructs.statements import Statement, allow, list_objects, read_objects, write_objects
from infra.machines import monitor
from infra.stacks.workload import WorkloadStack
from millrace.settings.environment import Environment

ALARMS = {
    "input-drift": ("InputDrift", "a column of the input lies further from the training rows than its bound"),
    "error": ("Error", "the error on labels that came lies above its bound, windows in a row"),
}
"""Metric and sentence by monitor; the metrics are ratios to a calibrated bound, so every threshold is 1."""


class MonitoringStack(WorkloadStack):
    """Windows are judged by schedule; a state change of an alarm starts `retrain`, which stands in its own room."""

    room = "monitoring"
    in_network = True

    def build(self) -> None:
        context = self.context
        self._windows()
        self._publish_metrics()
        self._job_role()
        machine = Machine(
            self,
            "monitor",
            context=context,
            definition=monitor.definition(context),
            statements=monitor.statements(context),
        )
        Schedule(
            self,
            "monitor",
            context=context,
            expression=context.workload.monitors.schedule,
            machine_arn=machine.arn,
            dead=Queue(self, "monitor", context=context, visibility_s=60),
        )
        for name in ALARMS:
            self._alarm(name)

    def _windows(self) -> None:
        context, names = self.context, self.context.names
        lake, glue = context.platform.bucket("lake"), f"arn:aws:glue:{context.platform.region}:{names.platform.account}"
        database = context.platform.database
        Function(
            self,
            "plan_windows",
            context=context,
            description="The complete windows since the cursors, and what the drift job needs to judge them",
            settings=Environment(**context.environment()),
            statements=[
                self._state("dynamodb:GetItem"),
                allow(
                    "glue:GetTable",
                    on=[
                        f"{glue}:catalog",
                        f"{glue}:database/{database}",
                        f"{glue}:table/{database}/{names.table('labels')}",
                    ],
                ),
                list_objects(lake, f"{names.workload}/decisions/"),
                read_objects(lake, f"{names.workload}/iceberg/"),
                write_objects(lake, f"{names.workload}/windows/"),
            ],
            timeout_s=300,
            memory_mb=2048,
        )

    def _publish_metrics(self) -> None:
        context, names = self.context, self.context.names
        account = f"{context.platform.region}:{context.platform.account}"
        Function(
            self,
            "publish_metrics",
            context=context,
            description="What a monitor run found becomes metrics; the cursors move",
            settings=Environment(**context.environment()),
            statements=[
                self._state("dynamodb:PutItem"),
                read_objects(context.platform.bucket("lake"), f"{names.workload}/monitor/"),
                allow(
                    "cloudwatch:DescribeAlarms",
                    on=[f"arn:aws:cloudwatch:{account}:alarm:{names.alarm(name)}" for name in ALARMS],
                ),
                allow(
                    "cloudwatch:PutMetricData",
                    on="*",
                    where={"StringEquals": {"cloudwatch:namespace": "Millrace"}},
                    because="PutMetricData takes no resource; the namespace is a condition",
                ),
            ],
        )

    def _job_role(self) -> None:
        context, workload = self.context, self.context.names.workload
        lake, artefacts = context.platform.bucket("lake"), context.platform.bucket("artefacts")
        JobRole(
            self,
            monitor.JOB_ROLE,
            context=context,
            image="processing",
            statements=[
                read_objects(lake, f"{workload}/decisions/", f"{workload}/windows/"),
                list_objects(lake, f"{workload}/decisions/", f"{workload}/windows/"),
                read_objects(artefacts, f"{workload}/runs/"),
                list_objects(artefacts, f"{workload}/runs/"),
                write_objects(lake, f"{workload}/monitor/"),
            ],
        )

    def _alarm(self, name: str) -> None:
        metric, sentence = ALARMS[name]
        context = self.context
        cloudwatch.CfnAlarm(
            self,
            f"{name}-alarm",
            alarm_name=context.names.alarm(name),
            alarm_description=f"{context.workload.name}: {sentence}",
            namespace="Millrace",
            metric_name=metric,
            dimensions=[cloudwatch.CfnAlarm.DimensionProperty(name="Workload", value=context.workload.name)],
            statistic="Maximum",
            period=60,
            evaluation_periods=1,
            datapoints_to_alarm=1,
            threshold=1,
            comparison_operator="GreaterThanThreshold",
            treat_missing_data="ignore",
            alarm_actions=[self._topic],
            ok_actions=[self._topic],
        )

    @property
    def _topic(self) -> str:
        platform = self.context.platform
        return f"arn:aws:sns:{platform.region}:{platform.account}:{platform.alarm_topic}"

    def _state(self, *actions: str) -> Statement:
        """The state table's items of this workload."""
        platform = self.context.platform
        return allow(
            *actions,
            on=platform.table_arn(platform.state_table),
            where={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [self.context.workload.name]}},
        )
