"""A report as CloudWatch metrics, and which alarms it leaves in ALARM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from millrace.messages.monitor import MonitorReport
from millrace.monitoring.alarms import COUNT_ALARMS, RATIO_ALARMS, ratios
from millrace.names import WorkloadNames

JUDGED = "WindowsJudged"
"""The metric without an alarm: how many windows were judged."""


def metrics_of(report: MonitorReport) -> list[dict[str, Any]]:
    """The data of one PutMetricData call: the ratios that there are, how many windows were judged, what should be 0.

    No timestamp: AWS takes it as now; the event time of the windows may be years away."""
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
    """The names of those `alarms` that were in ALARM before and that the report does not end.

    CloudWatch sends an event on a change of state only, so nothing else requests a retraining for them again."""
    published = {names.alarm(name): ratio for name, ratio in ratios(report).items()}
    found = [alarm["AlarmName"] for alarm in alarms if alarm["StateValue"] == "ALARM"]
    return tuple(name for name in found if (ratio := published[name]) is None or ratio > 1)
