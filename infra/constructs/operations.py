"""The operations alarms of one workload; failed runs and rejected drops are notices of the stage."""

from __future__ import annotations

from constructs import Construct

from infra.constructs.alarm import Alarm
from infra.context import Context
from millrace.operations.alarms import ALARMS


class Operations(Construct):
    """Every operations alarm of the workload."""

    def __init__(self, scope: Construct, *, context: Context) -> None:
        super().__init__(scope, "operations")
        names = context.names
        # CloudWatch has the latency of a model in microseconds.
        slowest_us = context.workload.gates.latency.max_p99_ms * 1000
        for name, alarm in ALARMS.items():
            Alarm(
                self,
                name,
                alarm,
                alarm_name=names.alarm(name),
                about=names.workload,
                metrics=alarm.metrics(names),
                threshold=slowest_us if alarm.threshold is None else alarm.threshold,
                topic_arn=context.platform.alarm_topic_arn,
            )
