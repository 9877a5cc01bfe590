"""The machine time of one run of the machine `release`, without the endpoints: the preflight of its version."""

from __future__ import annotations

from millrace.workload.declaration import Workload
from millrace.workload.prices import Usage

PREFLIGHT_MINUTES = 20
"""The preflight job is stopped after this time.

It starts the container twice, as an endpoint and as a transform job do. Each start may take eight minutes."""


def usages(workload: Workload, stage: str) -> tuple[Usage, ...]:
    """The usage of a preflight as long as it may take, on the instance type of the endpoint.

    A version that has passed on this type before needs no preflight."""
    return (Usage(instance=workload.rollout.instance[stage], count=1, minutes=PREFLIGHT_MINUTES),)
