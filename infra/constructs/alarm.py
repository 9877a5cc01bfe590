"""An operations alarm of the catalogue, to the topic of alarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import CfnResource
from constructs import Construct

from infra.alarm_parameters import parameters
from millrace.operations.alarms import OperationsAlarm, WatchedMetric


class Alarm(Construct):
    """The alarm `name` of the catalogue, deployed as `alarm_name`; it reads `metrics` and sends both changes."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        alarm: OperationsAlarm[Any],
        *,
        alarm_name: str,
        about: str,
        metrics: Sequence[WatchedMetric],
        topic_arn: str,
    ) -> None:
        super().__init__(scope, f"{name}-alarm")
        if alarm.threshold is None:
            raise ValueError(f"{name}: expected a threshold, got one that only a workload has")
        given = parameters(
            name,
            alarm,
            alarm_name=alarm_name,
            about=about,
            metrics=metrics,
            threshold=alarm.threshold,
            topic_arn=topic_arn,
        )
        # Not `CfnAlarm`: the release machine makes others by the same parameters.
        CfnResource(self, "Resource", type="AWS::CloudWatch::Alarm", properties=given)
