"""Amazon EventBridge Scheduler, and the schedules of rules.

AWS does: call the target at each due time, in the schedule's time zone and under its role. It tries again for a day,
    unless the target says less.
moto does: keep schedules, and fire none.
We do: fire at every due time in order, also at those that a move of the clock passes. The target gets the due time.
Weaker: a flexible window fires at its start. Tries are few and fast.
"""

from localcloud.kernel.cloud import Cloud
from localcloud.scheduler.schedules import fire_schedules


def install(cloud: Cloud) -> None:
    fire_schedules(cloud)
