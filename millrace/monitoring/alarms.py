"""The alarms on what monitors publish: add one by a line in `ALARMS`.

Each metric is a ratio to a calibrated bound, so the threshold of every alarm is 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from millrace.messages.monitor import MonitorReport, WindowReport


@dataclass(frozen=True, kw_only=True)
class RatioAlarm:
    """An alarm, the figure of a window that it watches, and the words for it."""

    metric: str
    noun: str
    """Of the figure: `drift` in `drift 0.57 × its bound`."""
    figure: str
    """What the figure is, before `over its bound`: the title of its chart."""
    description: str
    """When it is raised."""
    of_window: Callable[[WindowReport], float | None]
    """The figure; None where the window says nothing about it."""

    def ratio(self, report: MonitorReport) -> float | None:
        """The metric: the largest figure of the report's windows; None where no window has one."""
        figures = (self.of_window(window) for window in report.windows)
        return max((figure for figure in figures if figure is not None), default=None)


ALARMS: dict[str, RatioAlarm] = {
    "input-drift": RatioAlarm(
        metric="InputDrift",
        noun="drift",
        figure="the column that moved most",
        description="a column of the input lies further from the training rows than its bound",
        of_window=lambda window: window.input.ratio if window.input else None,
    ),
    "error": RatioAlarm(
        metric="Error",
        noun="error",
        figure="the lowest of the windows in a row that it takes",
        description="the error on labelled decisions is above its bound, windows in a row",
        of_window=lambda window: window.error.ratio if window.error else None,
    ),
}
"""By name, as `WorkloadNames.alarm` takes it."""


def ratios(report: MonitorReport) -> dict[str, float | None]:
    """The figure of every alarm, by its name."""
    return {name: alarm.ratio(report) for name, alarm in ALARMS.items()}
