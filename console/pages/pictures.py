"""Small pictures of a model: losses by epoch, a forecast, what came by what was answered, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from millrace.console.pages.plot import Frame, Scale, dot, element, names_at_ends, places, short, together, trace
from millrace.console.queries.documents import Epoch
from millrace.evaluation.evidence import AnswerBin, ForecastExample, TruthByAnswer
from millrace.tasks.metrics import ReliabilityBin

LOSSES = Frame(width=330, height=190, left=38, right=66, top=12, bottom=26)


def curves(epochs: Sequence[Epoch]) -> Markup:
    """Training and validation loss by epoch, as SVG; empty for a model without a history of epochs."""
    if not epochs:
        return Markup("")
    losses = [loss for epoch in epochs for loss in (epoch.train_loss, epoch.validation_loss)]
    # Some room above and below the curves. All losses may be equal, and a scale needs a span above 0.
    room = (max(losses) - min(losses)) * 0.08 or 0.01
    # With a single epoch both ends would be the same.
    x = LOSSES.across(epochs[0].epoch, max(epochs[-1].epoch, epochs[0].epoch + 1))
    y = LOSSES.upward(min(losses) - room, max(losses) + room)
    best = min(epochs, key=lambda epoch: epoch.validation_loss)
    last, place = epochs[-1], LOSSES.end + 8
    return LOSSES.picture(
        *(LOSSES.level(y(value), short(value)) for value in y.ticks(3)),
        *(LOSSES.below(x(value), f"{value:.0f}") for value in x.ticks(5) if value == int(value)),
        trace(((x(epoch.epoch), y(epoch.train_loss)) for epoch in epochs), "curve train"),
        trace(((x(epoch.epoch), y(epoch.validation_loss)) for epoch in epochs), "curve validation"),
        *names_at_ends(
            [
                (place, y(last.train_loss), "training", "train"),
                (place, y(last.validation_loss), "validation", "validation"),
            ]
        ),
        *(_spot(epoch, x) for epoch in epochs),
        _best(best, x, y),
        element("text", "epoch", x=place, y=LOSSES.height - 8, class_="axis"),
        element("text", "loss", x=0, y=LOSSES.top - 3, class_="axis"),
        label=f"Losses of {len(epochs)} epochs; the best is epoch {best.epoch}",
    )


def _spot(epoch: Epoch, x: Scale) -> Markup:
    """An invisible rectangle over one epoch. A pointer on it shows the epoch's figures."""
    title = (
        f"epoch {epoch.epoch}\ntraining {epoch.train_loss:.4f}\nvalidation {epoch.validation_loss:.4f}\n"
        f"error {epoch.validation_error:.3f}\n{epoch.seconds:.2f} s"
    )
    half = max((x.stop - x.start) / (x.high - x.low) / 2, 2)
    place = x(epoch.epoch) - half
    tip, height = element("title", title), LOSSES.foot - LOSSES.top
    return element("rect", tip, x=place, y=LOSSES.top, width=2 * half, height=height, class_="spot")


def _best(best: Epoch, x: Scale, y: Scale) -> Markup:
    """A mark at the epoch whose model was kept: the one with the lowest validation loss."""
    place = x(best.epoch)
    # In the right half the text stands left of the mark, so that it stays inside the picture.
    left = place > (LOSSES.left + LOSSES.end) / 2
    return element(
        "g",
        element("line", x1=place, x2=place, y1=LOSSES.top, y2=LOSSES.foot, class_="best"),
        element("circle", cx=place, cy=y(best.validation_loss), r=4.5, class_="mark validation"),
        element(
            "text",
            f"kept: epoch {best.epoch}",
            x=place - 6 if left else place + 6,
            y=LOSSES.top + 10,
            class_="note end" if left else "note",
        ),
    )


FORECAST = Frame(width=340, height=170, left=44, right=10, top=26, bottom=30)
FORECAST_DOT = 1.8
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
    x = FORECAST.across(min(example.past_hours, default=0.0), example.hours[-1])
    y = FORECAST.upward(low, high if high > low else low + 1)
    upper, lower = ([*zip(map(x, example.hours), map(y, ends), strict=True)] for ends in (example.upper, example.lower))
    title = f"{example.at.replace('T', ' ')[:16]}{', ' if example.entity else ''}{example.entity}"
    return FORECAST.picture(
        *(FORECAST.level(y(value), short(value), gap=6) for value in y.ticks(3)),
        *(FORECAST.below(x(hours), f"{hours:+g} h", gap=10) for hours in x.ticks(4)),
        element("line", x1=x(0), x2=x(0), y1=FORECAST.top, y2=FORECAST.foot, class_="diagonal"),
        # Along the upper ends and back along the lower ends: the outline of the interval.
        element("polygon", points=places([*upper, *reversed(lower)]), class_="fan"),
        trace(zip(map(x, example.past_hours), map(y, example.past), strict=True), "trace"),
        trace(zip(map(x, example.hours), map(y, example.value), strict=True), "answered"),
        *(
            dot(x(hours), y(value), FORECAST_DOT, f"{hours:g} h: {value:.4g}", "came")
            for hours, value in zip(example.hours, example.truth, strict=True)
        ),
        element("text", title, x=0, y=10, class_="axis"),
        label=f"Forecast of {title} up to {example.hours[-1]:g} hours: answer with interval, and what came",
        kind="forecast",
    )


ANSWERED = Frame(width=260, height=220, left=48, right=12, top=26, bottom=34)
ANSWERED_DOT = 3.0
"""Radius of a dot, in the SVG's units."""


def truth_by_answer(found: TruthByAnswer) -> Markup:
    """One dot for each bin at the median of what came, a line between its quantiles, and the answered interval as an
    area.

    Empty if there are no bins."""
    if not found.bins:
        return Markup("")
    numbers = [number for one in found.bins for number in _ends(one)]
    low, high = min(numbers), max(numbers)
    # All numbers may be equal, and a scale needs a span above 0.
    high = high if high > low else low + 1
    x, y = ANSWERED.across(low, high), ANSWERED.upward(low, high)
    part = f", {found.name}" if found.name else ""
    return ANSWERED.picture(
        *(ANSWERED.cross(x(value), y(value), short(value)) for value in x.ticks()),
        element("line", x1=x(low), y1=y(low), x2=x(high), y2=y(high), class_="diagonal"),
        _interval(found, x, y),
        *(_answers(one, found, x, y) for one in found.bins),
        ANSWERED.below((ANSWERED.left + ANSWERED.end) / 2, f"what was answered{part}", gap=2),
        element("text", "what came", x=0, y=10, class_="axis"),
        label=f"What came by what was answered{part}, in {len(found.bins)} bins",
        kind="by-answer",
    )


def _ends(one: AnswerBin) -> list[float]:
    """All numbers of a bin that the picture shows."""
    ends = [end for end in (one.lower, one.upper) if end is not None]
    return [one.value, one.truth_low, one.truth, one.truth_high, *ends]


def _interval(found: TruthByAnswer, x: Scale, y: Scale) -> Markup | None:
    """The area of the answered intervals; None if the answers have no interval."""
    upper = [(x(one.value), y(one.upper)) for one in found.bins if one.upper is not None]
    points = places((*upper, *reversed([(x(one.value), y(one.lower)) for one in found.bins if one.lower is not None])))
    return element("polygon", points=points, class_="fan") if points else None


def _answers(one: AnswerBin, found: TruthByAnswer, x: Scale, y: Scale) -> Markup:
    place, (low, high) = x(one.value), found.quantiles
    tip = (
        f"{one.rows} rows\nanswered {one.value:.4g}\ncame {one.truth:.4g}\n"
        f"{low:g} and {high:g} quantile {one.truth_low:.4g} and {one.truth_high:.4g}"
    )
    return together(
        element("line", x1=place, x2=place, y1=y(one.truth_low), y2=y(one.truth_high), class_="spread"),
        dot(place, y(one.truth), ANSWERED_DOT, tip, "came"),
    )


SURE = Frame(width=200, height=200, left=40, right=12, top=26, bottom=34)
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
    x, y = SURE.across(lowest, 1), SURE.upward(min(lowest, *(one.accuracy for one in bins)), 1)
    most = max(one.rows for one in bins)
    return SURE.picture(
        *(SURE.cross(x(value), y(value), f"{value:.0%}") for value in (lowest, (lowest + 1) / 2, 1.0)),
        element("line", x1=x(lowest), y1=y(lowest), x2=x(1), y2=y(1), class_="diagonal"),
        *(_confidence(one, most, x, y) for one in bins),
        SURE.below((SURE.left + SURE.end) / 2, "how sure it says it is", gap=2),
        element("text", "how often it is right", x=0, y=10, class_="axis"),
        label=f"Reliability in {len(bins)} bins: accuracy over confidence",
        kind="reliability",
    )


def _confidence(one: ReliabilityBin, most: int, x: Scale, y: Scale) -> Markup:
    """The mark of one bin, and a line to the diagonal that shows how far accuracy and confidence are apart."""
    place = x(one.confidence)
    tip = f"{one.rows} rows\nsays {one.confidence:.0%}\nright {one.accuracy:.0%}"
    # The root, so that the area grows with the rows; 2 pixels at least, to be seen.
    radius = max(LARGEST * (one.rows / most) ** 0.5, 2.0)
    return together(
        element("line", x1=place, x2=place, y1=y(one.confidence), y2=y(one.accuracy), class_="gap"),
        dot(place, y(one.accuracy), radius, tip, "mark"),
    )
