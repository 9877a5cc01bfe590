"""The alarms that a release made for itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

OF_A_RELEASE = re.compile(r"v\d+-\w+-\d+-\d+-live-(errors|latency)")
"""What follows the workload's prefix: the live configuration's name and what is watched."""
MOST = 100
"""Alarms in one call of DeleteAlarms."""


def find(client: Any, prefix: str) -> list[str]:
    """The names of those that are there, as many as one call deletes. `client` is boto3's CloudWatch client."""
    pages = client.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{prefix}-v", AlarmTypes=["MetricAlarm"])
    found = [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
    return [name for name in found if OF_A_RELEASE.fullmatch(name.removeprefix(f"{prefix}-"))][:MOST]


def delete(client: Any, names: Sequence[str]) -> None:
    """Each costs by the month; one that is gone is as good. `client` is boto3's CloudWatch client."""
    if names:
        client.delete_alarms(AlarmNames=list(names))
