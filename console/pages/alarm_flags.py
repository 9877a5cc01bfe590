"""The flags of alarms on the chart of windows: filled where an alarm was raised, hollow where it stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from markupsafe import Markup

from millrace.console.pages.markup import element
from millrace.console.pages.scale import Scale
from millrace.console.pages.time_axis import is_on, middle
from millrace.console.presenters.alarms import monitor_run_before, worst_window
from millrace.console.queries.monitoring import AlarmRaised, AlarmStays
from millrace.console.queries.report import WorkloadReport
from millrace.console.words import day, spelled
from millrace.messages.monitor import GIVE_UP_WINDOWS, WindowReport

AlarmT = TypeVar("AlarmT", AlarmRaised, AlarmStays)

FIRST_Y, LABEL = 13.0, 17.0
"""The base line of a label on the upper one of two levels, and the distance of the levels, in pixels."""
STAYS_Y = 27.0
"""Top of the flags of alarms that stay, in pixels: below the flags of alarms that were raised."""
ROOM = 190.0
"""The room of a flag with its label, in pixels."""
LONG_ROOM = 260.0
"""The same with the day of the clock in full."""


def raised_flags(report: WorkloadReport, time: Scale, bottoms: Mapping[str, float]) -> Iterator[Markup]:
    """Each raised alarm as a line with a flag, down to the bottom of its panel: `bottoms` by the alarm's name."""
    # The flag that came last on each of the two levels. A flag takes the first level with room for its label.
    before = [-1e9, -1e9]
    for alarm, x, is_by_clock in sorted(_placed(report.alarms, report, time), key=lambda each: each[1]):
        room = ROOM if is_by_clock else LONG_ROOM
        free = next((level for level in (0, 1) if x - before[level] >= room), None)
        level = 1 if free is None else free
        before[level] = x
        y = FIRST_Y + level * LABEL
        when = f"{alarm.at:%-d %b}" if is_by_clock else f"raised {day(alarm.at)}"
        yield element(
            "g",
            element("title", f"Alarm {spelled(alarm.name)}, {alarm.at:%Y-%m-%d}"),
            element("line", x1=x, x2=x, y1=y + 5, y2=bottoms.get(alarm.name, max(bottoms.values())), class_="alarm"),
            element("path", d=f"M{x:.1f} {y - 9:.1f}h9l-3 4.5l3 4.5h-9z", class_="flag"),
            None if free is None else _label(f"{spelled(alarm.name)}, {when}", x, y, is_left=x > time.stop - room + 40),
        )


def _label(text: str, x: float, y: float, *, is_left: bool) -> Markup:
    """The text beside a flag."""
    if is_left:
        return element("text", text, x=x - 6, y=y, class_="note end")
    return element("text", text, x=x + 14, y=y, class_="note")


def hollow_flags(staying: Sequence[AlarmStays], report: WorkloadReport, time: Scale) -> Iterator[Markup]:
    """A hollow flag for each monitor run that found that an alarm stays."""
    for alarm, x, _ in _placed(staying, report, time):
        yield element(
            "path",
            element("title", f"The alarm stays: {spelled(alarm.name)}, {alarm.at:%Y-%m-%d}; the guard decides again"),
            d=f"M{x:.1f} {STAYS_Y + 9:.1f}v-9h9l-3 4.5l3 4.5h-9z",
            class_="stays",
        )


def _placed(alarms: Iterable[AlarmT], report: WorkloadReport, time: Scale) -> Iterator[tuple[AlarmT, float, bool]]:
    """Each alarm with its place on the axis, and whether that is the day of the clock.

    It is the middle of the window that the alarm is about if the clock is of another time than the rows: rows of 2024,
    a clock of 2026."""
    for alarm in alarms:
        window = _window(alarm, report)
        is_by_clock = window is None or (is_on(time, alarm.at.date()) and _is_recent(window, alarm.at))
        yield alarm, time(alarm.at.toordinal()) if window is None or is_by_clock else middle(window, time), is_by_clock


def _window(alarm: AlarmRaised | AlarmStays, report: WorkloadReport) -> WindowReport | None:
    """The window with the largest figure of the alarm in the run that found it; the run's last window for an alarm
    without a figure."""
    run = monitor_run_before(report, alarm.at)
    if run is None or not run.report.windows:
        return None
    worst = worst_window(alarm.name, run.report)
    return worst[0] if worst else run.report.windows[-1]


def _is_recent(window: WindowReport, at: datetime) -> bool:
    """Whether labels of the window may still have come at that time."""
    return at - window.end <= GIVE_UP_WINDOWS * (window.end - window.start)
