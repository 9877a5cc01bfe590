"""A small picture for each forecast: what was known, what was answered with its interval, and what came."""

from __future__ import annotations

import math

from markupsafe import Markup

from millrace.console.pages.markup import element, together
from millrace.console.pages.scale import Scale, short
from millrace.evaluation.evidence import ForecastExample

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340.0, 170.0, 44.0, 10.0, 26.0, 30.0
"""Size of the picture and margins around the drawing area, in the SVG's units."""
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
    x = Scale(low=min(example.past_hours, default=0.0), high=example.hours[-1], start=LEFT, stop=WIDTH - RIGHT)
    y = Scale(low=low, high=high if high > low else low + 1, start=HEIGHT - BOTTOM, stop=TOP)
    upper = [(x(hours), y(value)) for hours, value in zip(example.hours, example.upper, strict=True)]
    lower = [(x(hours), y(value)) for hours, value in zip(example.hours, example.lower, strict=True)]
    title = f"{example.at.replace('T', ' ')[:16]}{', ' if example.entity else ''}{example.entity}"
    return element(
        "svg",
        *(_level(value, y) for value in y.ticks(3)),
        *(_hour(hours, x) for hours in x.ticks(4)),
        element("line", x1=x(0), x2=x(0), y1=TOP, y2=HEIGHT - BOTTOM, class_="diagonal"),
        # Along the upper ends and back along the lower ends: the outline of the interval.
        element("polygon", points=_points([*upper, *reversed(lower)]), class_="fan"),
        element("polyline", points=_points(_places(example.past_hours, example.past, x, y)), class_="trace"),
        element("polyline", points=_points(_places(example.hours, example.value, x, y)), class_="answered"),
        *(
            element(
                "circle", element("title", f"{hours:g} h: {value:.4g}"), cx=x(hours), cy=y(value), r=DOT, class_="came"
            )
            for hours, value in zip(example.hours, example.truth, strict=True)
        ),
        element("text", title, x=0, y=10, class_="axis"),
        viewBox=f"0 0 {WIDTH:.0f} {HEIGHT:.0f}",
        role="img",
        aria_label=f"Forecast of {title} up to {example.hours[-1]:g} hours: answer with interval, and what came",
        class_="forecast",
    )


def _places(hours: tuple[float, ...], values: tuple[float, ...], x: Scale, y: Scale) -> list[tuple[float, float]]:
    return [(x(hour), y(value)) for hour, value in zip(hours, values, strict=True)]


def _points(places: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _level(value: float, y: Scale) -> Markup:
    return together(
        element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(value), y2=y(value), class_="grid"),
        element("text", short(value), x=LEFT - 6, y=y(value) + 4, class_="axis end"),
    )


def _hour(hours: float, x: Scale) -> Markup:
    return element("text", f"{hours:+g} h", x=x(hours), y=HEIGHT - 10, class_="axis middle")
