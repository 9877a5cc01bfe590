"""What one run of the machine `release` uses beside the endpoints: the preflight of its version."""

from __future__ import annotations

from millrace.workload.declaration import Workload
from millrace.workload.prices import Usage

PREFLIGHT_MINUTES = 20
"""The job is stopped after this long; eight of them its container may take to start, as an endpoint and for a transform
job each."""


def usages(workload: Workload, stage: str) -> tuple[Usage, ...]:
    """The preflight at its longest, on the instance that serves; a version that has passed on it needs none."""
    return (Usage(instance=workload.rollout.instance[stage], count=1, minutes=PREFLIGHT_MINUTES),)
