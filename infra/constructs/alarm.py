"""An operations alarm of the catalogue, which sends to the topic of alarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import CfnResource
from constructs import Construct

from infra.alarm_parameters import parameters
from millrace.operations.alarms import OperationsAlarm, WatchedMetric


class Alarm(Construct):
    """The alarm `name` of the catalogue, deployed as `alarm_name`.

    It reads `metrics`, and sends a message when it is raised and when it is over. Raises ValueError if its threshold
    depends on the workload."""

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
        # Not `CfnAlarm`: the release machine makes other alarms from the same parameters, by CloudWatch's API.
        CfnResource(self, "Resource", type="AWS::CloudWatch::Alarm", properties=given)
