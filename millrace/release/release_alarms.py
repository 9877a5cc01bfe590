"""The alarms that a release makes for the time of its own rollout: to find and to delete those that are left."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

OF_A_RELEASE = re.compile(r"v\d+-\w+-\d+-\d+-live-(errors|latency)")
"""The names of these alarms, without the workload's prefix: `v2-1f0e4a-0-0-live-errors`.

They have the name of the live endpoint configuration and what is watched."""
MOST = 100
"""The most alarms in one call of DeleteAlarms."""


def find(client: Any, prefix: str) -> list[str]:
    """The names of the alarms that exist, at most as many as one call deletes.

    `prefix` is the workload's. `client` is boto3's CloudWatch client."""
    # A prefix alone could find the alarms of another workload, hence OF_A_RELEASE.
    pages = client.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{prefix}-v", AlarmTypes=["MetricAlarm"])
    found = [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
    return [name for name in found if OF_A_RELEASE.fullmatch(name.removeprefix(f"{prefix}-"))][:MOST]


def delete(client: Any, names: Sequence[str]) -> None:
    """Delete the alarms, since each costs by the month. One that is gone already is no error.

    `client` is boto3's CloudWatch client."""
    if names:
        client.delete_alarms(AlarmNames=list(names))
