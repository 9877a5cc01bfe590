"""The alarms that a workload has from its first deployment on. The machine `release` makes those on its endpoint."""

from __future__ import annotations

from constructs import Construct

from infra.constructs.alarm import Alarm
from infra.context import Context
from millrace.operations.alarms import ALARMS


class Operations(Construct):
    """The workload's alarms on its queues. Failed runs and rejected drops are notices of the stage."""

    def __init__(self, scope: Construct, *, context: Context) -> None:
        super().__init__(scope, "operations")
        names = context.names
        for name, alarm in ALARMS.items():
            Alarm(
                self,
                name,
                alarm,
                alarm_name=names.alarm(name),
                about=names.workload,
                metrics=alarm.metrics(names),
                topic_arn=context.platform.alarm_topic_arn,
            )
