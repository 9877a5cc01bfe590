"""PutCompositeAlarm, which moto lacks, although it keeps an alarm with a rule.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from infra.local.kernel.patching import replace

NOT_COVERED = ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")


def take_composite_alarms() -> None:
    """Let PutCompositeAlarm make an alarm with a rule. May go when moto answers the call itself."""
    exceptions: Any = import_module("moto.cloudwatch.exceptions")
    responses: Any = import_module("moto.cloudwatch.responses").CloudWatchResponse

    def put_composite_alarm(self: Any) -> Any:
        for name in NOT_COVERED:
            if self._get_param(name) is not None:
                raise exceptions.ValidationError(f"{name} is not covered by the local cloud")
        # moto's handler of PutMetricAlarm reads AlarmRule too.
        return self.put_metric_alarm()

    replace(responses, put_composite_alarm=put_composite_alarm)
