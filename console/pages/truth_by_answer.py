"""A small picture for each part of an answer that is a number: what came, by what was answered."""

from __future__ import annotations

from markupsafe import Markup

from millrace.console.pages.plot import Frame, Scale, element, places, short, together
from millrace.evaluation.evidence import AnswerBin, TruthByAnswer

FRAME = Frame(width=260, height=220, left=48, right=12, top=26, bottom=34)
DOT = 3.0
"""Radius of a dot, in the SVG's units."""


def truth_by_answer(found: TruthByAnswer) -> Markup:
    """One dot for each bin at the median of what came, a line between its quantiles, and the answered interval as an
    area.

    Empty if there are no bins."""
    if not found.bins:
        return Markup("")
    numbers = [number for one in found.bins for number in _numbers(one)]
    low, high = min(numbers), max(numbers)
    # All numbers may be equal, and a scale needs a span above 0.
    high = high if high > low else low + 1
    x, y = FRAME.across(low, high), FRAME.upward(low, high)
    part = f", {found.name}" if found.name else ""
    return FRAME.picture(
        *(_tick(value, x, y) for value in x.ticks()),
        element("line", x1=x(low), y1=y(low), x2=x(high), y2=y(high), class_="diagonal"),
        _interval(found, x, y),
        *(_bin(one, found, x, y) for one in found.bins),
        FRAME.below((FRAME.left + FRAME.end) / 2, f"what was answered{part}", gap=2),
        element("text", "what came", x=0, y=10, class_="axis"),
        label=f"What came by what was answered{part}, in {len(found.bins)} bins",
        kind="by-answer",
    )


def _numbers(one: AnswerBin) -> list[float]:
    """All numbers of a bin that the picture shows."""
    ends = [end for end in (one.lower, one.upper) if end is not None]
    return [one.value, one.truth_low, one.truth, one.truth_high, *ends]


def _tick(value: float, x: Scale, y: Scale) -> Markup:
    return together(
        FRAME.level(y(value), short(value)),
        element("text", short(value), x=x(value), y=FRAME.foot + 16, class_="axis middle"),
    )


def _interval(found: TruthByAnswer, x: Scale, y: Scale) -> Markup | None:
    """The area of the answered intervals; None if the answers have no interval."""
    upper = [(x(one.value), y(one.upper)) for one in found.bins if one.upper is not None]
    lower = [(x(one.value), y(one.lower)) for one in found.bins if one.lower is not None]
    points = places((*upper, *reversed(lower)))
    return element("polygon", points=points, class_="fan") if points else None


def _bin(one: AnswerBin, found: TruthByAnswer, x: Scale, y: Scale) -> Markup:
    place, (low, high) = x(one.value), found.quantiles
    tip = (
        f"{one.rows} rows\nanswered {one.value:.4g}\ncame {one.truth:.4g}\n"
        f"{low:g} and {high:g} quantile {one.truth_low:.4g} and {one.truth_high:.4g}"
    )
    return together(
        element("line", x1=place, x2=place, y1=y(one.truth_low), y2=y(one.truth_high), class_="spread"),
        element("circle", element("title", tip), cx=place, cy=y(one.truth), r=DOT, class_="came"),
    )
