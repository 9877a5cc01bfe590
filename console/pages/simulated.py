"""The page of a simulation: a line for each policy with its error by window and its retrainings, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from markupsafe import Markup

from console.pages.markup import element, together
from console.pages.scale import Scale, short
from console.pages.template import template
from console.pages.time_axis import ticks
from millrace.simulation.proposal import Comparison, Row

WIDTH, LEFT, RIGHT = 1056.0, 56.0, 16.0
LINE, HEAD, FOOT = 74.0, 20.0, 26.0
"""Height of a policy's line, of the name above it, and of the axis of time below all lines."""


def simulated_page(workload: str, found: Comparison, *, usd_per_training: float, lines: str) -> str:
    """The page as HTML. `lines` are those of workload.yaml that the proposal needs."""
    return template("simulated.html.jinja", short=short).render(
        workload=workload,
        found=found,
        best=found.best.usd,
        picture=picture(found),
        usd_per_training=usd_per_training,
        lines=lines,
    )


def picture(found: Comparison) -> Markup:
    """All policies below each other, the cheapest first, on one axis of time and one scale of the error."""
    first = date.fromisoformat(found.judged_from)
    last = first + timedelta(days=int(found.replay.days[-1] - found.replay.days[0]))
    time = Scale(low=first.toordinal(), high=last.toordinal(), start=LEFT, stop=WIDTH - RIGHT)
    errors = [[error for _, error in _windows(row, found)] for row in found.rows]
    highest = max((error for each in errors for error in each), default=0) or 1.0
    # A label at the right edge would be cut off.
    shown = [(x, label) for x, label in ticks(time) if x < WIDTH - RIGHT - 30]
    bottom = len(found.rows) * (LINE + HEAD)
    return element(
        "svg",
        *(element("line", x1=x, x2=x, y1=HEAD, y2=bottom, class_="month") for x, _ in shown),
        *(element("text", label, x=x + 4, y=bottom + 18, class_="axis") for x, label in shown),
        *(_line(row, found, time, number * (LINE + HEAD) + HEAD, highest) for number, row in enumerate(found.rows)),
        viewBox=f"0 0 {WIDTH:.0f} {bottom + FOOT:.0f}",
        role="img",
        aria_label=f"Errors and retrainings of {len(found.rows)} policies from {found.judged_from} on",
    )


def _line(row: Row, found: Comparison, time: Scale, top: float, highest: float) -> Markup:
    scale = Scale(low=0.0, high=highest, start=top + LINE, stop=top + 10)
    windows = list(_windows(row, found))
    points = " ".join(f"{time(day):.1f},{scale(error):.1f}" for day, error in windows)
    start = date.fromisoformat(found.judged_from).toordinal() - int(found.replay.days[0])
    marks = [
        element(
            "circle",
            element("title", f"retraining of {date.fromordinal(day)}"),
            cx=time(day),
            cy=top + LINE,
            r=4.0,
            class_="mark",
        )
        for day in (start + int(found.replay.days[decision]) for decision in row.course.retrainings)
    ]
    tone = "validation" if row.kind in ("proposed", "declared") else "train"
    return together(
        element("text", f"{row.name} ({row.kind})", x=LEFT, y=top - 4, class_="note"),
        element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=top + LINE, y2=top + LINE, class_="grid"),
        element("text", short(highest), x=LEFT - 8, y=top + 14, class_="axis end"),
        element("polyline", points=points, class_=f"curve {tone}"),
        *marks,
    )


def _windows(row: Row, found: Comparison) -> Iterator[tuple[int, float]]:
    """The middle day (ordinal) and the mean error between each decision and the next."""
    replay = found.replay
    start = date.fromisoformat(replay.history.first).toordinal()
    for decision, version in enumerate(row.course.version_V):
        first, last = int(replay.days[decision]), int(replay.days[decision + 1])
        error = float(replay.error(int(row.course.length_V[decision]), int(version), first, last))
        if error == error:  # no rows between the two
            yield start + (first + last) // 2, error
