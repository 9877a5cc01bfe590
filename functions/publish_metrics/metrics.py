"""Turns a report into CloudWatch metrics, and tells which alarms it leaves in ALARM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from millrace.messages.monitor import MonitorReport
from millrace.monitoring.alarms import COUNT_ALARMS, RATIO_ALARMS, ratios
from millrace.names import WorkloadNames

JUDGED = "WindowsJudged"
"""The metric of how many windows were judged. It has no alarm."""


def metrics_of(report: MonitorReport) -> list[dict[str, Any]]:
    """The data of one PutMetricData call: the ratios that are known, how many windows were judged, and the counts.

    They have no timestamp, so AWS takes the present. The event time of the windows may be years away."""
    figures = {RATIO_ALARMS[name].metric: ratio for name, ratio in ratios(report).items()}
    counts = {JUDGED: report.judged} | {alarm.metric: alarm.count(report) for alarm in COUNT_ALARMS.values()}
    return [
        {
            "MetricName": name,
            "Dimensions": [{"Name": "Workload", "Value": report.workload}],
            "Value": float(value),
            "Unit": "Count" if name in counts else "None",
        }
        for name, value in (figures | counts).items()
        if value is not None
    ]


def staying(alarms: Sequence[Mapping[str, Any]], report: MonitorReport, names: WorkloadNames) -> tuple[str, ...]:
    """The names of the `alarms` that were in ALARM before and that the report does not end.

    CloudWatch only sends an event when the state changes. So nothing else requests a retraining for these alarms."""
    # A report without a figure (None) does not end an alarm.
    published = {names.alarm(name): ratio for name, ratio in ratios(report).items()}
    found = [alarm["AlarmName"] for alarm in alarms if alarm["StateValue"] == "ALARM"]
    return tuple(name for name in found if (ratio := published[name]) is None or ratio > 1)
