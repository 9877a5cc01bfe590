"""One small picture per model of numbers: what came, by what was answered."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from console.pages.markup import element, together
from console.pages.scale import Scale, short
from console.words import count
from millrace.evaluation.evidence import AnswerBin

SIZE, LEFT, RIGHT, TOP, BOTTOM = 200.0, 44.0, 12.0, 26.0, 34.0
RADIUS = 3.0


def answers(bins: Sequence[AnswerBin], unit: str = "") -> Markup:
    """The median of what came over the answers, with a line for eight rows of ten; on the diagonal both are equal."""
    shown = [one for one in bins if all(map(math.isfinite, (one.answer, one.low, one.median, one.high)))]
    if not shown:
        return Markup("")
    # Both axes have the same numbers, so that the diagonal is where both are equal.
    numbers = [number for one in shown for number in (one.answer, one.low, one.high)]
    low, high = min(numbers), max(numbers)
    high = high if high > low else low + 1
    x = Scale(low=low, high=high, start=LEFT, stop=SIZE - RIGHT)
    y = Scale(low=low, high=high, start=SIZE - BOTTOM, stop=TOP)
    of = f", {unit}" if unit else ""
    return element(
        "svg",
        *(_tick(value, x, y) for value in y.ticks(3)),
        element("line", x1=x(low), y1=y(low), x2=x(high), y2=y(high), class_="diagonal"),
        *(_bin(one, x, y) for one in shown),
        element("text", f"what it answers{of}", x=(LEFT + SIZE - RIGHT) / 2, y=SIZE - 2, class_="axis middle"),
        element("text", f"what came{of}", x=0, y=10, class_="axis"),
        viewBox=f"0 0 {SIZE:.0f} {SIZE:.0f}",
        role="img",
        aria_label=f"What came over what was answered, in {count(len(shown), 'group')} of rows",
        class_="reliability",
    )


def _tick(value: float, x: Scale, y: Scale) -> Markup:
    return together(
        element("line", x1=LEFT, x2=SIZE - RIGHT, y1=y(value), y2=y(value), class_="grid"),
        element("text", short(value), x=LEFT - 6, y=y(value) + 4, class_="axis end"),
        element("text", short(value), x=x(value), y=SIZE - BOTTOM + 16, class_="axis middle"),
    )


def _bin(one: AnswerBin, x: Scale, y: Scale) -> Markup:
    came = f"{one.median:.4g}, of eight rows in ten {one.low:.4g} to {one.high:.4g}"
    tip = element("title", f"{one.rows} rows\nanswers {one.answer:.4g}\ncame {came}")
    place = x(one.answer)
    return together(
        element("line", x1=place, x2=place, y1=y(one.low), y2=y(one.high), class_="gap"),
        element("circle", tip, cx=place, cy=y(one.median), r=RADIUS, class_="mark"),
    )
