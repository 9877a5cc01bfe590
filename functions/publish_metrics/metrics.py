"""A report as CloudWatch metrics, and which alarms it leaves in ALARM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from millrace.messages.monitor import MonitorReport
from millrace.monitoring.alarms import ALARMS
from millrace.names import WorkloadNames

JUDGED = "WindowsJudged"
"""The metric without an alarm: how many windows were judged."""


def metrics_of(report: MonitorReport) -> list[dict[str, Any]]:
    """The data of one PutMetricData call: the ratios that there are, and how many windows were judged.

    No timestamp: AWS takes it as now; the event time of the windows may be years away."""
    values = {alarm.metric: alarm.ratio(report) for alarm in ALARMS.values()} | {JUDGED: float(report.judged)}
    return [
        {
            "MetricName": name,
            "Dimensions": [{"Name": "Workload", "Value": report.workload}],
            "Value": value,
            "Unit": "Count" if name == JUDGED else "None",
        }
        for name, value in values.items()
        if value is not None
    ]


def staying(alarms: Sequence[Mapping[str, Any]], report: MonitorReport, names: WorkloadNames) -> tuple[str, ...]:
    """The names of the alarms that ask to retrain, were in ALARM before and that the report does not end.

    CloudWatch sends an event on a change of state only, so nothing else requests a retraining for them again."""
    ratios = {names.alarm(name): alarm.ratio(report) for name, alarm in ALARMS.items() if alarm.asks_to_retrain}
    found = [alarm["AlarmName"] for alarm in alarms if alarm["StateValue"] == "ALARM" and alarm["AlarmName"] in ratios]
    return tuple(name for name in found if (ratio := ratios[name]) is None or ratio > 1)
