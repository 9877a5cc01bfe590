"""The chart of all monitored windows: drift and error over their bounds, and the live version of each day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from markupsafe import Markup

from millrace.console.pages.plot import Frame, Scale, element, is_on, middle, short, ticks, time_axis, together, trace
from millrace.console.pages.template import decisions_path
from millrace.console.queries.monitoring import ChampionPeriod, MonitoredWindow
from millrace.console.queries.report import WorkloadReport
from millrace.console.words import listed, spelled
from millrace.monitoring.alarms import RATIO_ALARMS

WIDTH, LEFT, RIGHT = 1056.0, 56.0, 104.0
"""Width of the chart and margins on both sides, in pixels."""
PANEL, GAP, TOP, FOOT = 148.0, 52.0, 24.0, 74.0
"""Height of a panel, gap between panels, margin above, margin below."""
FRAME = Frame(width=WIDTH, height=PANEL, left=LEFT, right=RIGHT, top=0, bottom=0)
"""Of a panel, along its sides."""
BAND = 22.0
"""Height of the band of versions, in pixels."""
FAR = 8.0
"""A value so many times its bound makes the axis logarithmic."""
LEAST = 1 / 16
"""The low end of a logarithmic axis: a sixteenth of the bound."""
NARROW = 20.0
"""If a version's part of the band is narrower than this, in pixels, its number is left out: it would stand outside."""

LONGEST = 50
"""Characters of a label; a longer one is cut, so that it has room on one side of its mark."""
CHARACTER = 7.0
"""The room of a character of a label, in pixels; most are narrower."""
NONE_LIVE = "By the clock no version was live for long in the time of these rows; releases are on the timeline below."
"""Stands in the place of the band of versions."""


@dataclass(frozen=True, kw_only=True)
class Extras:
    """What the panel of an alarm shows besides the alarm's figure."""

    title: str = ""
    """Added to the end of the panel's title."""
    tip: Callable[[MonitoredWindow], str] = lambda _: ""
    """Added to the end of a window's tooltip."""
    label: Callable[[MonitoredWindow], str] = lambda _: ""
    """The text beside the highest mark above the bound."""
    beside: Callable[[MonitoredWindow], float | None] = lambda _: None
    """A second value of a window, drawn as a faint ring."""
    empty: Callable[[Sequence[MonitoredWindow]], str] = lambda _: "no window was judged for it"
    """Why the panel has no value at all."""


def _few(_: Sequence[MonitoredWindow]) -> str:
    return "every window has too few decisions to compare with the training rows"


def _without_error(windows: Sequence[MonitoredWindow]) -> str:
    if not any(window.labelled for window in windows):
        return "no window that was judged has a label"
    if all(window.error_bound is None for window in windows):
        return "the version has no bound on its error"
    return "in no window enough decisions have labels and are the live version's"


EXTRAS: Mapping[str, Extras] = {
    "input-drift": Extras(
        tip=lambda window: f" ({window.column})\n{window.rows} rows", label=lambda window: window.column, empty=_few
    ),
    "error": Extras(
        title=" (rings: each window alone)",
        tip=lambda _: ", the lowest in a row",
        beside=lambda window: window.error,
        empty=_without_error,
    ),
}
"""By the alarm's name. An alarm that is not here has no extras."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The chart of one alarm. All panels share the time axis."""

    name: str
    number: int
    """Counted from the top, from 0."""
    workload: str = ""
    """Whose decisions a click on a window shows; empty on a page without them."""

    @property
    def top(self) -> float:
        return TOP + self.number * (PANEL + GAP)

    @property
    def bottom(self) -> float:
        return self.top + PANEL

    @property
    def extras(self) -> Extras:
        return EXTRAS.get(self.name, Extras())

    @property
    def title(self) -> str:
        figure = RATIO_ALARMS[self.name].figure
        return f"{spelled(self.name).capitalize()}, ratio to its bound: {figure}{self.extras.title}"

    def value(self, window: MonitoredWindow) -> float | None:
        """The window's figure; the alarm is raised above 1."""
        return window.ratios[self.name]

    def tip(self, window: MonitoredWindow, value: float) -> str:
        return f"{_span(window)}\n{RATIO_ALARMS[self.name].noun} {value:.2f} × bound{self.extras.tip(window)}"


def weeks(report: WorkloadReport, *, has_decisions: bool = False) -> Markup:
    """The chart as SVG; empty if no window was judged."""
    windows = report.windows
    if not windows:
        return Markup("")
    # Dates as day numbers: one unit of the scale is a day.
    time = time_axis(windows, report.champions, start=LEFT, stop=WIDTH - RIGHT)
    workload = report.names.workload if has_decisions else ""
    panels = [Panel(name=name, number=number, workload=workload) for number, name in enumerate(RATIO_ALARMS)]
    bottom = panels[-1].bottom
    nouns = listed([alarm.noun for alarm in RATIO_ALARMS.values()]).capitalize()
    return element(
        "svg",
        _ticks(time, bottom),
        _band(time, report.champions, bottom),
        *(_panel(panel, windows, time) for panel in panels),
        viewBox=f"0 0 {WIDTH:.0f} {bottom + FOOT:.0f}",
        role="group" if has_decisions else "img",  # links inside an image would be hidden from readers of the screen
        aria_label=f"{nouns} of {len(windows)} windows over their bounds, with {len(report.alarms)} alarms",
    )


def _panel(panel: Panel, windows: Sequence[MonitoredWindow], time: Scale) -> Markup:
    known = [(window, value) for window in windows if (value := panel.value(window)) is not None]
    beside = [(window, value) for window in windows if (value := panel.extras.beside(window)) is not None]
    scale = _scale([value for _, value in (*known, *beside)], panel.top)
    return element(
        "g",
        element("text", panel.title, x=LEFT, y=panel.top - 12, class_="title"),
        *(FRAME.level(scale(value), f"{short(value)} ×") for value in scale.ticks() if abs(value - 1) > 1e-9),
        _bound(scale),
        *(trace(((middle(window, time), scale(value)) for window, value in row), "trace") for row in _rows(known)),
        *(_ring(window, value, time, scale) for window, value in beside),
        *(_mark(panel, window, value, time, scale) for window, value in known),
        _loudest(panel, known, time, scale) if known else None,
        None if known or beside else _nothing(panel, windows),
    )


def _nothing(panel: Panel, windows: Sequence[MonitoredWindow]) -> Markup:
    """The text that says why the panel shows no mark."""
    why = panel.extras.empty(windows)
    return element("text", f"No figure: {why}.", x=LEFT + 12, y=panel.top + PANEL / 2, class_="axis")


def _scale(values: Sequence[float], top: float) -> Scale:
    """The scale of a panel: straight from 0, or logarithmic if a value lies far above its bound."""
    # The bound at 1 is always visible, with some room above the highest value.
    most = max([1.5, *values]) * 1.12
    if most > FAR:
        return Scale(low=LEAST, high=2 * most, start=top + PANEL, stop=top, logarithmic=True)
    return Scale(low=0, high=most, start=top + PANEL, stop=top)


def _bound(scale: Scale) -> Markup:
    y = scale(1)
    return together(
        element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="bound"),
        element("text", "1 ×", x=LEFT - 8, y=y + 4, class_="axis end strong"),
        element("text", "alarms above", x=WIDTH - RIGHT + 8, y=y + 4, class_="axis strong"),
    )


def _rows(known: Sequence[tuple[MonitoredWindow, float]]) -> list[list[tuple[MonitoredWindow, float]]]:
    """The windows in runs of adjacent ones: no line is drawn across a gap."""
    rows: list[list[tuple[MonitoredWindow, float]]] = []
    for window, value in known:
        if rows and rows[-1][-1][0].end == window.start:
            rows[-1].append((window, value))
        else:
            rows.append([(window, value)])
    return rows


def _mark(panel: Panel, window: MonitoredWindow, value: float, time: Scale, scale: Scale) -> Markup:
    x, y = middle(window, time), scale(value)
    tip = element("title", panel.tip(window, value))
    # A diamond instead of a circle, so that the shape too says that it is above the bound.
    over = f"M{x:.1f} {y - 6.5:.1f}l6.5 6.5l-6.5 6.5l-6.5 -6.5z"
    mark = (
        element("path", tip, d=over, class_="mark over")
        if value > 1
        else element("circle", tip, cx=x, cy=y, r=4.0, class_="mark")
    )
    if not panel.workload:
        return mark
    last = window.end - timedelta(days=1)
    return element(
        "a",
        mark,
        href=decisions_path(panel.workload, window.start, last),
        aria_label=f"Decisions of {panel.tip(window, value)}",
    )


def _ring(window: MonitoredWindow, value: float, time: Scale, scale: Scale) -> Markup:
    tip = element("title", f"{_span(window)}\nthis window's error {window.mean_error:.4g}, {value:.2f} × bound")
    return element("circle", tip, cx=middle(window, time), cy=scale(value), r=3.2, class_="ring")


def _loudest(panel: Panel, known: Sequence[tuple[MonitoredWindow, float]], time: Scale, scale: Scale) -> Markup | None:
    """The panel's label beside the highest mark above the bound; None if no mark is above it."""
    window, value = max(known, key=lambda pair: pair[1])
    name = panel.extras.label(window)
    if value <= 1 or not name:
        return None
    shown = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    label = f"{shown} {short(round(value, 1))} ×"
    x, y = middle(window, time), scale(value) - 13
    # To the left of the mark, unless it would reach over the figures beside the axis.
    if x + 6 - CHARACTER * len(label) >= LEFT:
        return element("text", label, x=x + 6, y=y, class_="note end")
    return element("text", label, x=max(x - 6, LEFT), y=y, class_="note")


def _ticks(time: Scale, bottom: float) -> Markup:
    lines = [
        together(
            element("line", x1=x, x2=x, y1=TOP, y2=bottom + 8, class_="month"),
            element("text", label, x=x + 4, y=bottom + 18, class_="axis"),
        )
        for x, label in ticks(time)
        if x < WIDTH - RIGHT - 20
    ]
    return together(*lines)


def _band(time: Scale, champions: Sequence[ChampionPeriod], bottom: float) -> Markup:
    """Which version decided on each day, as a band below all panels.

    In its place a sentence if no part of it has room for a number, as with rows of 2024 and a clock of 2026."""
    top = bottom + 30
    if not champions:
        return Markup("")
    parts = [
        _period(period, time, top, f"v{number % 4}")
        for number, period in enumerate(champions)
        if is_on(time, period.start) or is_on(time, period.end)
    ]
    if not any(_label(period, time) for period in champions):
        return element("text", NONE_LIVE, x=LEFT, y=top + 15, class_="axis")
    return together(element("text", "decided by", x=WIDTH - RIGHT + 8, y=top + 15, class_="axis"), *parts)


def _period(period: ChampionPeriod, time: Scale, top: float, colour: str) -> Markup:
    x, end = time(period.start.toordinal()), time(period.end.toordinal())
    how = " (brought back by a rollback)" if period.by_rollback else ""
    tip = element("title", f"version {period.version}{how}: {period.start} to {period.end}")
    return together(
        element("rect", tip, x=x, y=top, width=max(end - x - 2, 2), height=BAND, rx=4, class_=f"version {colour}"),
        element("text", _label(period, time), x=x + 8, y=top + 15, class_="on-band"),
    )


def _label(period: ChampionPeriod, time: Scale) -> str:
    """The version's whole name if its part of the band has room, else the number alone, else nothing."""
    room = time(period.end.toordinal()) - time(period.start.toordinal())
    back = "↶ " if period.by_rollback else ""
    if room > 70 + 14 * bool(back):
        return f"{back}version {period.version}"
    return f"{back}{period.version}" if room > NARROW else ""


def _span(window: MonitoredWindow) -> str:
    return f"{window.start} to {window.end}"
