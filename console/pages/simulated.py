"""The page of a simulation: a line for each policy with its error by window and its retrainings, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

from markupsafe import Markup

from millrace.console.pages.plot import Scale, element, places, short, ticks, together
from millrace.console.pages.template import template
from millrace.simulation.proposal import PolicyComparison, Row

WIDTH, LEFT, RIGHT = 1056.0, 56.0, 16.0
LINE, HEAD, FOOT = 74.0, 20.0, 26.0
"""Height of a policy's line, of the name above it, and of the axis of time below all lines."""
Curve = list[tuple[int, float]]
"""Days (ordinal) with their mean errors."""


def simulated_page(workload: str, found: PolicyComparison, *, usd_per_training: float, lines: str) -> str:
    """The page as HTML. `lines` are those of workload.yaml that the proposal needs."""
    return template("simulated.html.jinja", short=short).render(
        workload=workload,
        found=found,
        best=found.best.usd,
        picture=picture(found),
        usd_per_training=usd_per_training,
        lines=lines,
    )


def picture(found: PolicyComparison) -> Markup:
    """All policies below each other, the cheapest first, on one axis of time and one scale of the error."""
    start = date.fromisoformat(found.replay.history.first).toordinal()
    days = [start + day for day in found.replay.days.tolist()]
    time = Scale(low=days[0], high=days[-1], start=LEFT, stop=WIDTH - RIGHT)
    curves = [_curve(row, found, days) for row in found.rows]
    highest = max((error for curve in curves for _, error in curve), default=0) or 1.0
    # A label at the right edge would be cut off.
    shown = [(x, label) for x, label in ticks(time) if x < WIDTH - RIGHT - 30]
    bottom = len(found.rows) * (LINE + HEAD)
    return element(
        "svg",
        *(element("line", x1=x, x2=x, y1=HEAD, y2=bottom, class_="month") for x, _ in shown),
        *(element("text", label, x=x + 4, y=bottom + 18, class_="axis") for x, label in shown),
        *(
            _line(row, curve, days, time, number * (LINE + HEAD) + HEAD, highest)
            for number, (row, curve) in enumerate(zip(found.rows, curves, strict=True))
        ),
        viewBox=f"0 0 {WIDTH:.0f} {bottom + FOOT:.0f}",
        role="img",
        aria_label=f"Errors and retrainings of {len(found.rows)} policies from {found.judged_from} on",
    )


def _line(row: Row, curve: Curve, days: Sequence[int], time: Scale, top: float, highest: float) -> Markup:
    """The line of one policy. `days` are those of the decisions."""
    scale = Scale(low=0.0, high=highest, start=top + LINE, stop=top + 10)
    points = places((time(day), scale(error)) for day, error in curve)
    marks = [
        element(
            "circle",
            element("title", f"retraining of {date.fromordinal(day)}"),
            cx=time(day),
            cy=top + LINE,
            r=4.0,
            class_="mark",
        )
        for day in (days[decision] for decision in row.course.retrainings)
    ]
    tone = "validation" if row.kind in ("proposed", "declared") else "train"
    return together(
        element("text", f"{row.name} ({row.kind})", x=LEFT, y=top - 4, class_="note"),
        element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=top + LINE, y2=top + LINE, class_="grid"),
        element("text", short(highest), x=LEFT - 8, y=top + 14, class_="axis end"),
        element("polyline", points=points, class_=f"curve {tone}"),
        *marks,
    )


def _curve(row: Row, found: PolicyComparison, days: Sequence[int]) -> Curve:
    """The middle day and the mean error between each decision and the next, if there were rows."""
    replay, course = found.replay, row.course
    error_V = replay.error(course.length_V, course.version_V, replay.days[:-1], replay.days[1:])
    middles = [(first + last) // 2 for first, last in pairwise(days)]
    return [(day, error) for day, error in zip(middles, error_V.tolist(), strict=True) if error == error]
