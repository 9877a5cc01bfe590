"""A picture for each phase that has watched a version: what came in its order, and the bar that it is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from markupsafe import Markup

from millrace.console.pages.plot import Frame, element, names_at_ends, short, trace
from millrace.console.presenters.presenter import Tone
from millrace.console.queries.live import evidence_of
from millrace.messages.climb import Climb

FRAME = Frame(width=330, height=150, left=38, right=84, top=14, bottom=26)
VERDICTS: Mapping[str, tuple[Tone, str]] = {
    "go_on": ("good", "● passed"),
    "stop": ("bad", "▲ stopped"),
    "not_yet": ("watch", "◆ not yet"),
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """The figures of one kind in the order in which they came: after the first, the second, …"""

    name: str
    figures: Sequence[float]
    kind: str
    """Its class of the style sheet: `train` is dashed."""


@dataclass(frozen=True, kw_only=True)
class RungPicture:
    """One phase as the page shows it."""

    phase: str
    tone: Tone
    verdict: str
    span: str
    """`5 Jan 08:00 to 9 Jan 10:00 1997`."""
    because: str
    evidence: tuple[str, ...]
    """Sentences: the plan, and what came."""
    picture: Markup


def rungs(climbs: Sequence[Climb]) -> tuple[RungPicture, ...]:
    """The phases in the order of time. One without a look has nothing to show."""
    return tuple(_rung(climb) for climb in sorted(climbs, key=lambda one: one.since) if climb.looks)


def _rung(climb: Climb) -> RungPicture:
    last = climb.looks[-1]
    tone, verdict = VERDICTS[last.answer]
    return RungPicture(
        phase=climb.phase,
        tone=tone,
        verdict=verdict,
        span=f"{climb.since:%-d %b %H:%M} to {last.at:%-d %b %H:%M %Y}",
        because=f"{last.because[:1].upper()}{last.because[1:]}",
        evidence=tuple(f"{one[:1].upper()}{one[1:]}" for one in evidence_of(climb)),
        picture=_reviews(climb) if climb.phase == "assisted" else _labels(climb),
    )


def _labels(climb: Climb) -> Markup:
    """How many labels more have said that this version was right than that the live one was."""
    came = [place.label for place in climb.places if place.label is not None]
    line = Line(name="for it", figures=[0, *accumulate(came)], kind="validation")
    return _picture([line], most=climb.plan.horizon if climb.plan else len(came), what="labels", are_shares=False)


def _reviews(climb: Climb) -> Markup:
    """The share of people's answers that agree with this version's, with and without seeing it."""
    known = sorted((one for one in climb.asked if one.answered_at), key=lambda one: (one.answered_at, one.id))
    lines = []
    for is_blind, name, kind in ((True, "without it", "validation"), (False, "beside it", "train")):
        agreed = [bool(one.agreed) for one in known if one.blind == is_blind]
        shares = [total / number for number, total in enumerate(accumulate(agreed), 1)]
        lines.append(Line(name=name, figures=shares, kind=kind))
    return _picture(lines, most=max(len(line.figures) for line in lines), what="answers", are_shares=True)


def _picture(lines: Sequence[Line], *, most: int, what: str, are_shares: bool) -> Markup:
    """The lines as SVG, over the number of what came; empty while nothing came.

    Shares lie between 0 and 1. Sums begin with 0, before anything came, and have a line there."""
    first = 1 if are_shares else 0
    drawn = [line for line in lines if len(line.figures) > 1 - first]
    if not drawn:
        return Markup("")
    figures = [figure for line in drawn for figure in line.figures]
    low, top = (0.0, 1.0) if are_shares else (min(*figures, max(figures) - 1), max(figures))
    x, y = FRAME.across(first, max(most, first + 1)), FRAME.upward(low, top)
    traced = [(line, [(x(first + at), y(figure)) for at, figure in enumerate(line.figures)]) for line in drawn]
    return FRAME.picture(
        *(FRAME.level(y(value), short(value)) for value in y.ticks(3)),
        *(FRAME.below(x(value), short(value)) for value in x.ticks(4) if value == int(value)),
        None if are_shares else element("line", x1=FRAME.left, x2=FRAME.end, y1=y(0), y2=y(0), class_="best"),
        *(trace(points, f"curve {line.kind}") for line, points in traced),
        *names_at_ends([(points[-1][0] + 6, points[-1][1], line.name, line.kind) for line, points in traced]),
        element("text", what, x=FRAME.end + 8, y=FRAME.height - 8, class_="axis"),
        label="; ".join(f"{line.name}: {short(line.figures[-1])} after {len(line.figures)}" for line in drawn),
    )
