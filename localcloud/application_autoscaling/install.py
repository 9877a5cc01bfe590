"""Application Auto Scaling of endpoint variants.

AWS does: keep the bounds, and add or remove instances while an alarm of target tracking is in ALARM.
moto does: keep targets and policies, and do nothing with them.
We do: make the two alarms, and change the number of processes. Cool-downs hold.
Weaker: other metrics and step scaling are refused. Scheduled actions do nothing.
"""

from localcloud.application_autoscaling.autoscaling import follow_policies
from localcloud.kernel.cloud import Cloud


def install(cloud: Cloud) -> None:
    follow_policies(cloud)
