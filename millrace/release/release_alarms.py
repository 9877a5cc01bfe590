"""The alarms that a release made for itself."""

from __future__ import annotations

import re
from typing import Any

OF_A_RELEASE = re.compile(r"v\d+-\w+-\d+-\d+-live-(errors|latency)")
"""What follows the workload's prefix: the live configuration's name and what is watched."""
MOST = 100
"""Alarms in one call of DeleteAlarms."""


def delete(client: Any, prefix: str) -> list[str]:
    """What was deleted: each costs by the month. `client` is boto3's CloudWatch client."""
    pages = client.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{prefix}-v", AlarmTypes=["MetricAlarm"])
    found = [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
    names = [name for name in found if OF_A_RELEASE.fullmatch(name.removeprefix(f"{prefix}-"))][:MOST]
    if names:
        client.delete_alarms(AlarmNames=names)
    return [f"alarm {name}" for name in names]
