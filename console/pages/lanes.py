"""The picture of the machine's time: what ran when, on the clock on the wall, one lane for each kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from console.pages.markup import Markup, element, together
from console.pages.scale import Scale
from console.pages.story import Mark, Span

WIDTH, LEFT, RIGHT, TOP, LANE = 1056.0, 92.0, 12.0, 26.0, 26.0
LEAST = 2.5
"""The shortest bar, pixels: what took a moment is seen too."""
APART = 26.0
"""The least distance of two names above, pixels."""
ORDER = ("people", "ingest", "train", "release", "decisions", "score", "monitor", "alarm", "retrain")


def lanes(spans: Sequence[Span], marks: Sequence[Mark]) -> Markup:
    """The picture as SVG; nothing when nothing ran."""
    if not spans:
        return Markup("")
    known = {span.lane for span in spans}
    names = [*(name for name in ORDER if name in known), *sorted(known - set(ORDER))]
    bottom = TOP + LANE * len(names)
    time = Scale(low=0, high=max(span.start_s + span.seconds for span in spans), start=LEFT, stop=WIDTH - RIGHT)
    return element(
        "svg",
        *_marks(marks, time, bottom),
        *(_lane(name, TOP + LANE * number) for number, name in enumerate(names)),
        *(_span(span, TOP + LANE * names.index(span.lane), time) for span in spans),
        *(
            element("text", f"{value:.0f} s", x=time(value), y=bottom + 18, class_="axis middle")
            for value in time.ticks(8)
        ),
        viewBox=f"0 0 {WIDTH:.0f} {bottom + 24:.0f}",
        role="img",
        aria_label=f"{len(spans)} things that ran in {time.high:.0f} seconds, by lane",
        class_="lanes",
    )


def _lane(name: str, top: float) -> Markup:
    return together(
        element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=top + LANE, y2=top + LANE, class_="grid"),
        element("text", name, x=LEFT - 10, y=top + 17, class_="axis end"),
    )


def _marks(marks: Sequence[Mark], time: Scale, bottom: float) -> Iterator[Markup]:
    """The months; a name that would touch the one before is left out."""
    before = -APART
    for mark in marks:
        x = time(mark.at_s)
        yield element("line", x1=x, x2=x, y1=TOP - 6, y2=bottom, class_="month")
        if x - before >= APART:
            yield element("text", mark.name, x=x, y=TOP - 11, class_="axis middle")
            before = x


def _span(span: Span, top: float, time: Scale) -> Markup:
    x = time(span.start_s)
    tip = element("title", f"{span.name}\nat {span.start_s:.1f} s for {span.seconds:.2f} s")
    width = max(time(span.start_s + span.seconds) - x, LEAST)
    return element("rect", tip, x=x, y=top + 6, width=width, height=LANE - 11, rx=2, class_=f"span {span.tone}")
