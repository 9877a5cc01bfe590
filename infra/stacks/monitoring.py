"""The monitoring room: the machine that judges windows, its schedule, the alarms on what it publishes."""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch

from infra.constructs.function import Function
from infra.constructs.job_role import JobRole
from infra.constructs.machine import Machine
from infra.constructs.queue import Queue
from infra.constructs.schedule import Schedule
from infra.iam import alarms, iceberg, state_table
from infra.iam.buckets import ARTEFACTS, LAKE
from infra.machines import monitor
from infra.stacks.workload import WorkloadStack
from millrace.monitoring.alarms import ALARMS, COUNTED, CountAlarm, RatioAlarm, starters
from millrace.names import DRIFT_ROLE
from millrace.settings.environment import Environment


class MonitoringStack(WorkloadStack):
    """Windows are judged by schedule; a state change of an alarm starts `retrain`, in the training stack."""

    room = "monitoring"
    in_network = True
    images = ("processing",)

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
            dead=Queue(self, "monitor", context=context, visibility_s=60),
        ).to_machine(machine.arn)
        for name, alarm in (ALARMS | COUNTED).items():
            self._alarm(name, alarm)

    def _windows(self) -> None:
        context, names = self.context, self.context.names
        tables = context.workload.prediction.label_tables
        Function(
            self,
            "plan_windows",
            context=context,
            description="The complete windows since the cursors, and what the drift job needs to judge them",
            settings=Environment(**context.environment()),
            statements=[
                state_table.own_items(names).may("GetItem"),
                iceberg.tables(names, *tables).may("GetTable"),
                LAKE.find(names, "decisions"),
                LAKE.read(names, "iceberg"),
                LAKE.write(names, "windows"),
            ],
            timeout_s=300,
            memory_mb=2048,
        )

    def _publish_metrics(self) -> None:
        context, names = self.context, self.context.names
        Function(
            self,
            "publish_metrics",
            context=context,
            description="What a monitor run found becomes metrics; the cursors move",
            settings=Environment(**context.environment()),
            statements=[
                state_table.own_items(names).may("PutItem"),
                LAKE.read(names, "monitor"),
                alarms.monitors(names, *starters()).may("DescribeAlarms"),
                alarms.put_metrics("Millrace"),
            ],
        )

    def _job_role(self) -> None:
        context, names = self.context, self.context.names
        JobRole(
            self,
            DRIFT_ROLE,
            context=context,
            image="processing",
            statements=[
                LAKE.read(names, "decisions", "windows"),
                LAKE.find(names, "decisions", "windows"),
                ARTEFACTS.read(names, "runs"),
                ARTEFACTS.find(names, "runs"),
                LAKE.write(names, "monitor"),
            ],
        )

    def _alarm(self, name: str, alarm: RatioAlarm | CountAlarm) -> None:
        context, topic = self.context, self.context.platform.alarm_topic_arn
        cloudwatch.CfnAlarm(
            self,
            f"{name}-alarm",
            alarm_name=context.names.alarm(name),
            alarm_description=f"{context.workload.name}: {alarm.description}",
            namespace="Millrace",
            metric_name=alarm.metric,
            dimensions=[cloudwatch.CfnAlarm.DimensionProperty(name="Workload", value=context.workload.name)],
            statistic="Maximum",
            period=60,
            evaluation_periods=1,
            datapoints_to_alarm=1,
            threshold=alarm.threshold,
            comparison_operator="GreaterThanThreshold",
            treat_missing_data="ignore",
            alarm_actions=[topic],
            ok_actions=[topic],
        )
