"""The axis of event time below the chart of windows: the days that it spans, and the labels of its ticks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from millrace.console.pages.scale import Scale, months
from millrace.console.queries.monitoring import ChampionPeriod, MonitoredWindow
from millrace.messages.monitor import WindowReport

NEAR = timedelta(days=31)
"""Monitors run on a schedule, and labels come late. So a version that was live so shortly before the first window or
after the last one belongs to them. The rows of all others are of another time than the clock."""
MONTH_ROOM, DAY_ROOM = 60.0, 80.0
"""The least distance of two ticks, in pixels: the room for `Jan 1997`, and for `12 Jan 1997`."""
MONTH_STEPS, DAY_STEPS = (1, 2, 3, 6, 12, 24, 60, 120, 240), (1, 2, 7, 14)
"""The distances that two ticks may have, in months and in days."""
SHORTEST_MONTH = 28
"""Days."""


def time_axis(
    windows: Sequence[MonitoredWindow], champions: Sequence[ChampionPeriod], *, start: float, stop: float
) -> Scale:
    """The scale of day numbers onto the pixels `start` to `stop`: the days of windows and of live versions near them.

    On each side the versions add at most as many days as the windows have, so that the windows keep a third."""
    first, last = min(window.start for window in windows), max(window.end for window in windows)
    room = max(last - first, NEAR)
    near = [each for each in champions if each.start <= last + NEAR and each.end >= first - NEAR]
    low = min([first, *(max(each.start, first - room) for each in near)])
    high = max([last, *(min(each.end, last + room) for each in near)])
    return Scale(low=low.toordinal(), high=high.toordinal(), start=start, stop=stop)


def middle(window: MonitoredWindow | WindowReport, time: Scale) -> float:
    """The position of the window's middle."""
    return (time(window.start.toordinal()) + time(window.end.toordinal())) / 2


def is_on(time: Scale, day: date) -> bool:
    """Whether the axis has this day."""
    return time.low <= day.toordinal() <= time.high


def ticks(time: Scale) -> Iterator[tuple[float, str]]:
    """Position and label of each tick: of months, or of days if the axis has less than two first days of a month.

    The year stands with the first tick, and where it changes."""
    first, last = date.fromordinal(int(time.low)), date.fromordinal(int(time.high))
    starts = list(months(first, last))
    form, days = ("%b", _months(time, starts)) if len(starts) > 1 else ("%-d %b", _days(time, first, last))
    year = None
    for day in days:
        yield time(day.toordinal()), f"{day:{form if day.year == year else f'{form} %Y'}}"
        year = day.year


def _months(time: Scale, starts: Sequence[date]) -> list[date]:
    """The first days of months, so many that their labels have room. January is among them, if not each year's."""
    room = SHORTEST_MONTH * _day_width(time)
    step = next((step for step in MONTH_STEPS if step * room >= MONTH_ROOM), MONTH_STEPS[-1])
    return [day for day in starts if (day.year * 12 + day.month - 1) % step == 0]


def _days(time: Scale, first: date, last: date) -> list[date]:
    step = next((step for step in DAY_STEPS if step * _day_width(time) >= DAY_ROOM), DAY_STEPS[-1])
    return [first + timedelta(days=after) for after in range(0, (last - first).days + 1, step)]


def _day_width(time: Scale) -> float:
    return (time.stop - time.start) / (time.high - time.low)
