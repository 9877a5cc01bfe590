"""The alarms on what monitors publish: add one by a line in `ALARMS`.

Each metric is a ratio to a calibrated bound, so the threshold of every alarm is 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from millrace.messages.monitor import MonitorReport


@dataclass(frozen=True, kw_only=True)
class RatioAlarm:
    """An alarm, and the figure of a monitor's report that it watches."""

    metric: str
    description: str
    ratio: Callable[[MonitorReport], float | None]
    """None: the report says nothing about it."""
    asks_to_retrain: bool = True
    """Whether its ALARM requests a retraining, which the guard then weighs."""


ALARMS: dict[str, RatioAlarm] = {
    "input-drift": RatioAlarm(
        metric="InputDrift",
        description="a column of the input lies further from the training rows than its bound",
        ratio=lambda report: report.input_ratio,
    ),
    "error": RatioAlarm(
        metric="Error",
        description="the error on labelled decisions is above its bound, windows in a row",
        ratio=lambda report: report.error_ratio,
    ),
    "unreadable": RatioAlarm(
        metric="UnreadableDecisions",
        description="lines of kept decisions cannot be read or do not match their digest: the monitors do not see them",
        ratio=lambda report: report.unreadable_ratio,
        asks_to_retrain=False,
    ),
}
"""By name, as `WorkloadNames.alarm` takes it."""
