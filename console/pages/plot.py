"""Marks of SVG with escaped text and attributes, one scale, the frame of a small picture, and an axis of time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from markupsafe import Markup, escape

from millrace.console.queries.monitoring import ChampionPeriod, MonitoredWindow
from millrace.messages.monitor import WindowReport

Child = str | None


def element(name: str, *children: Child, **attributes: str | float | None) -> Markup:
    """`<name attributes>children</name>`. Children and attributes that are None are left out.

    An underscore at the end of an attribute's name is dropped, others become hyphens. For example, `element("line",
    x1=0, class_="grid")` is `<line x1="0" class="grid"></line>`."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _number(value))
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, together(*children))


def together(*parts: Child) -> Markup:
    """The parts one after another. A text is escaped, an element stays as it is."""
    return Markup("").join(escape(part) for part in parts if part is not None)


def _number(value: str | float) -> str:
    """An attribute's value as text. Numbers have a tenth of a pixel: finer ones make the page longer, not better."""
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A straight or logarithmic scale from the values `low` to `high` onto the pixels `start` to `stop`.

    `start` may be larger than `stop`: a scale may run either way."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """The position of `value`. A value outside the scale is put at its edge."""
        inside = min(max(value, self.low), self.high)
        if self.logarithmic:
            share = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            share = (inside - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    def ticks(self, count: int = 4) -> list[float]:
        """Round values inside the scale, about `count` of them. On a logarithmic scale they are powers of two."""
        if self.logarithmic:
            least, most = math.ceil(math.log2(self.low)), math.floor(math.log2(self.high))
            every = max(1, math.ceil((most - least) / count))
            return [2.0**power for power in range(least, most + 1) if power % every == 0]
        step = _round_step((self.high - self.low) / count)
        # 1e-9, so that an end that is a multiple of the step is not lost to rounding.
        least, most = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(least, most + 1)]


def months(first: date, last: date) -> Iterator[date]:
    """The first day of each month from `first` to `last`."""
    day = first.replace(day=1)
    while day <= last:
        if day >= first:
            yield day
        # 32 days after a first day always lie in the next month.
        day = (day + timedelta(days=32)).replace(day=1)


def short(value: float) -> str:
    """A number as a person writes it: `0.25`, `1`, `64`."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if abs(value) < 10 else f"{value:,.0f}"


def _round_step(rough: float) -> float:
    """The smallest of 1, 2, 5 and 10 times a power of ten that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)


def trace(points: Iterable[tuple[float, float]], kind: str) -> Markup:
    """A line through the points."""
    return element("polyline", points=places(points), class_=kind)


def dot(x: float, y: float, radius: float, tip: str, kind: str) -> Markup:
    """A circle; a pointer on it shows the `tip`."""
    return element("circle", element("title", tip), cx=x, cy=y, r=radius, class_=kind)


def names_at_ends(ends: Sequence[tuple[float, float, str, str]]) -> Iterator[Markup]:
    """The names of one or two lines, each (end of its line, height, name, kind); two that would cover each other are
    moved apart."""
    heights = [y for _, y, *_ in ends]
    # 15 units are about the height of a line of text.
    if len(ends) == 2 and abs(heights[0] - heights[1]) < 15:
        middle, side = sum(heights) / 2, 7.5 if heights[0] >= heights[1] else -7.5
        heights = [middle + side, middle - side]
    for (x, _, name, kind), y in zip(ends, heights, strict=True):
        yield element("text", name, x=x, y=y + 4, class_=f"name {kind}")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Size of a picture and margins around its drawing area, in the SVG's units."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float

    @property
    def end(self) -> float:
        """The right edge of the drawing area."""
        return self.width - self.right

    @property
    def foot(self) -> float:
        """The lower edge of the drawing area."""
        return self.height - self.bottom

    def across(self, low: float, high: float) -> Scale:
        return Scale(low=low, high=high, start=self.left, stop=self.end)

    def upward(self, low: float, high: float) -> Scale:
        """The y axis of SVG points down, so the low end is at the larger coordinate."""
        return Scale(low=low, high=high, start=self.foot, stop=self.top)

    def level(self, y: float, words: str, *, gap: float = 8) -> Markup:
        """A line across the drawing area, and what it stands for to the left of it."""
        return together(
            element("line", x1=self.left, x2=self.end, y1=y, y2=y, class_="grid"),
            element("text", words, x=self.left - gap, y=y + 4, class_="axis end"),
        )

    def cross(self, x: float, y: float, words: str) -> Markup:
        """The same value on both axes."""
        return together(self.level(y, words), element("text", words, x=x, y=self.foot + 16, class_="axis middle"))

    def below(self, x: float, words: str, *, gap: float = 8) -> Markup:
        """What stands below the drawing area, around this place."""
        return element("text", words, x=x, y=self.height - gap, class_="axis middle")

    def picture(self, *marks: Child, label: str, kind: str | None = None) -> Markup:
        """The marks as SVG. `label` is for who cannot see it."""
        box = f"0 0 {self.width:.0f} {self.height:.0f}"
        return element("svg", *marks, viewBox=box, role="img", aria_label=label, class_=kind)


def places(points: Iterable[tuple[float, float]]) -> str:
    """The points of a line or an area, as SVG has them."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


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
