"""PutCompositeAlarm: moto keeps a composite alarm as an alarm with a rule, but has no call that makes one.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from infra.local.kernel.patching import replace

NOT_COVERED = ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")


def take_composite_alarms() -> None:
    exceptions: Any = import_module("moto.cloudwatch.exceptions")
    responses: Any = import_module("moto.cloudwatch.responses").CloudWatchResponse

    def put_composite_alarm(self: Any) -> Any:
        for name in NOT_COVERED:
            if self._get_param(name) is not None:
                raise exceptions.ValidationError(f"{name} is not covered by the local cloud")
        return self.put_metric_alarm()

    replace(responses, put_composite_alarm=put_composite_alarm)
