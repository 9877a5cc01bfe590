"""A small picture for each forecast: what was known, what was answered with its interval, and what came."""

from __future__ import annotations

import math

from markupsafe import Markup

from millrace.console.pages.plot import Frame, Scale, element, places, short
from millrace.evaluation.evidence import ForecastExample

FRAME = Frame(width=340, height=170, left=44, right=10, top=26, bottom=30)
DOT = 1.8
"""Radius of a dot, in the SVG's units."""


def fan(example: ForecastExample) -> Markup:
    """The forecast of one row as SVG: the past as a line up to hour 0, the forecast as a line after it, its interval as
    an area, and what came as dots.

    Empty if there are no numbers, or if one is not finite."""
    numbers = [*example.past, *example.value, *example.lower, *example.upper, *example.truth]
    if not numbers or not all(map(math.isfinite, numbers)):
        return Markup("")
    low, high = min(numbers), max(numbers)
    # Hours of the past are 0 or below, hours of the forecast above 0.
    x = FRAME.across(min(example.past_hours, default=0.0), example.hours[-1])
    y = FRAME.upward(low, high if high > low else low + 1)
    upper = [(x(hours), y(value)) for hours, value in zip(example.hours, example.upper, strict=True)]
    lower = [(x(hours), y(value)) for hours, value in zip(example.hours, example.lower, strict=True)]
    title = f"{example.at.replace('T', ' ')[:16]}{', ' if example.entity else ''}{example.entity}"
    return FRAME.picture(
        *(FRAME.level(y(value), short(value), gap=6) for value in y.ticks(3)),
        *(FRAME.below(x(hours), f"{hours:+g} h", gap=10) for hours in x.ticks(4)),
        element("line", x1=x(0), x2=x(0), y1=FRAME.top, y2=FRAME.foot, class_="diagonal"),
        # Along the upper ends and back along the lower ends: the outline of the interval.
        element("polygon", points=places([*upper, *reversed(lower)]), class_="fan"),
        element("polyline", points=places(_places(example.past_hours, example.past, x, y)), class_="trace"),
        element("polyline", points=places(_places(example.hours, example.value, x, y)), class_="answered"),
        *(
            element(
                "circle", element("title", f"{hours:g} h: {value:.4g}"), cx=x(hours), cy=y(value), r=DOT, class_="came"
            )
            for hours, value in zip(example.hours, example.truth, strict=True)
        ),
        element("text", title, x=0, y=10, class_="axis"),
        label=f"Forecast of {title} up to {example.hours[-1]:g} hours: answer with interval, and what came",
        kind="forecast",
    )


def _places(hours: tuple[float, ...], values: tuple[float, ...], x: Scale, y: Scale) -> list[tuple[float, float]]:
    return [(x(hour), y(value)) for hour, value in zip(hours, values, strict=True)]
