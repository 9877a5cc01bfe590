"""Amazon EventBridge Scheduler, and the schedules of rules.

AWS does: fire in the schedule's time zone, under its role, and retry for a day where its target says no less.
moto does: keep schedules and fire none.
We do: fire every due time in order, also on a move of the clock, with the time that was due.
Weaker: a flexible window fires at its start; retries are few and fast.
"""

from infra.local.kernel.cloud import Cloud
from infra.local.scheduler.schedules import fire_schedules


def install(cloud: Cloud) -> None:
    fire_schedules(cloud)
