"""A small picture for each model version: how often its answers are right, by the confidence that they state."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from millrace.console.pages.plot import Frame, Scale, element, together
from millrace.tasks.metrics import ReliabilityBin

FRAME = Frame(width=200, height=200, left=40, right=12, top=26, bottom=34)
LARGEST = 7.0
"""Radius of the bin with the most rows, in pixels. The area of a mark is in proportion to its rows."""
HALF = 0.5
"""The lowest confidence of an answer with two classes."""


def reliability(bins: Sequence[ReliabilityBin]) -> Markup:
    """Accuracy over confidence as SVG, a mark for each bin. On the diagonal, answers are right as often as they say."""
    if not bins:
        return Markup("")
    # With two classes the left half of the axis would always be empty.
    lowest = HALF if min(one.confidence for one in bins) >= HALF else 0.0
    least = min(lowest, *(one.accuracy for one in bins))
    x, y = FRAME.across(lowest, 1), FRAME.upward(least, 1)
    most = max(one.rows for one in bins)
    return FRAME.picture(
        *(_tick(value, x, y) for value in (lowest, (lowest + 1) / 2, 1.0)),
        element("line", x1=x(lowest), y1=y(lowest), x2=x(1), y2=y(1), class_="diagonal"),
        *(_bin(one, most, x, y) for one in bins),
        FRAME.below((FRAME.left + FRAME.end) / 2, "how sure it says it is", gap=2),
        element("text", "how often it is right", x=0, y=10, class_="axis"),
        label=f"Reliability in {len(bins)} bins: accuracy over confidence",
        kind="reliability",
    )


def _tick(value: float, x: Scale, y: Scale) -> Markup:
    return together(
        FRAME.level(y(value), f"{value:.0%}"),
        element("text", f"{value:.0%}", x=x(value), y=FRAME.foot + 16, class_="axis middle"),
    )


def _bin(one: ReliabilityBin, most: int, x: Scale, y: Scale) -> Markup:
    """The mark of one bin, and a line to the diagonal that shows how far accuracy and confidence are apart."""
    place = x(one.confidence)
    tip = element("title", f"{one.rows} rows\nsays {one.confidence:.0%}\nright {one.accuracy:.0%}")
    # The root, so that the area grows with the rows; 2 pixels at least, to be seen.
    radius = max(LARGEST * (one.rows / most) ** 0.5, 2.0)
    return together(
        element("line", x1=place, x2=place, y1=y(one.confidence), y2=y(one.accuracy), class_="gap"),
        element("circle", tip, cx=place, cy=y(one.accuracy), r=radius, class_="mark"),
    )
