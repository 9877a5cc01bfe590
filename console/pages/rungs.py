"""A picture for each phase that has watched a version: what came in its order, and the bar that it is held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate, pairwise

from markupsafe import Markup

from millrace.console.pages.plot import Frame, Scale, dot, element, names_at_ends, short, ticks, together, trace
from millrace.console.pages.template import template
from millrace.console.presenters.presenter import Tone
from millrace.console.queries.live import reviewed_in_words
from millrace.console.words import age, count
from millrace.messages.climb import Climb
from millrace.simulation.proposal import PolicyComparison, Row

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
        evidence=tuple(_evidence(climb)),
        picture=_reviews(climb) if climb.phase == "assisted" else _labels(climb),
    )


def _evidence(climb: Climb) -> Iterator[str]:
    last, plan = climb.looks[-1], climb.plan
    yield f"Beside version {climb.champion}: {last.differing:,} of {last.pairs:,} answers differ"
    if plan:
        power = (
            f"a version better by {100 * plan.gain:.2g} points passes with a probability of 0.8, a worse one of 0.05"
        )
        yield f"Planned: {power}; at most {count(plan.horizon, 'label')}, some {age(timedelta(days=plan.days))}"
    if climb.asked:
        yield reviewed_in_words(climb)
    if climb.failed:
        yield f"{climb.failed:,} copies got no answer"


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
            _line_of_policy(row, curve, days, time, number * (LINE + HEAD) + HEAD, highest)
            for number, (row, curve) in enumerate(zip(found.rows, curves, strict=True))
        ),
        viewBox=f"0 0 {WIDTH:.0f} {bottom + FOOT:.0f}",
        role="img",
        aria_label=f"Errors and retrainings of {len(found.rows)} policies from {found.judged_from} on",
    )


def _line_of_policy(row: Row, curve: Curve, days: Sequence[int], time: Scale, top: float, highest: float) -> Markup:
    """The line of one policy. `days` are those of the decisions."""
    scale = Scale(low=0.0, high=highest, start=top + LINE, stop=top + 10)
    retrained = [days[decision] for decision in row.course.retrainings]
    tone = "validation" if row.kind in ("proposed", "declared") else "train"
    return together(
        element("text", f"{row.name} ({row.kind})", x=LEFT, y=top - 4, class_="note"),
        element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=top + LINE, y2=top + LINE, class_="grid"),
        element("text", short(highest), x=LEFT - 8, y=top + 14, class_="axis end"),
        trace(((time(day), scale(error)) for day, error in curve), f"curve {tone}"),
        *(dot(time(day), top + LINE, 4.0, f"retraining of {date.fromordinal(day)}", "mark") for day in retrained),
    )


def _curve(row: Row, found: PolicyComparison, days: Sequence[int]) -> Curve:
    """The middle day and the mean error between each decision and the next, if there were rows."""
    replay, course = found.replay, row.course
    error_V = replay.error(course.length_V, course.version_V, replay.days[:-1], replay.days[1:])
    middles = [(first + last) // 2 for first, last in pairwise(days)]
    return [(day, error) for day, error in zip(middles, error_V.tolist(), strict=True) if error == error]
