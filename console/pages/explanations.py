"""What moves a model's answers: bars of its columns, and one row taken apart by its image, words or hours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from millrace.console.pages.plot import element, together
from millrace.evaluation.evidence import (
    ColumnImportance,
    ExampleContribution,
    ExampleExplanation,
    ExplanationEvidence,
    PlaceImportance,
)
from millrace.tasks.figures import short

MOST_BARS = 12
"""How many bars a picture has at most, the longest ones."""
WIDTH, LINE, NAMES, FIGURES = 420.0, 22.0, 150.0, 145.0
"""Width of a picture, height of a bar's line, and widths for the names on the left and the figures on the right."""
HOURS_HEIGHT = 110.0
"""Height of the drawing area of the hours, in pixels."""
PICTURE = 190.0
"""The largest width of an image on the page, in pixels."""
FAINTEST = 0.08
"""A share of the largest contribution. A word or patch that adds less than that is not coloured."""


def explanations(evidence: ExplanationEvidence | None) -> Markup:
    """The pictures of one model side by side; empty for a model without explanations."""
    if evidence is None:
        return Markup("")
    # With one column only, its words or hours say more than one bar. An image's patches are drawn on the image instead.
    is_one_text = len(evidence.columns) == 1 and evidence.places and not (evidence.example and evidence.example.image)
    bars = _places(evidence.places) if is_one_text else _columns(evidence.columns)
    return element("div", bars, *_example(evidence.example), class_="beside explained")


def _places(places: Sequence[PlaceImportance]) -> Markup:
    """A bar for each word or hour of the model's only column, the longest first."""
    largest = sorted(places, key=lambda one: -one.mean)[:MOST_BARS]
    bars = [(one.place, one.mean, f"{one.mean:.3g}") for one in largest]
    return _bars(bars, title=f"mean contribution within {largest[0].column}")


def _columns(columns: Sequence[ColumnImportance]) -> Markup:
    """A bar for each column, the one first whose exchange makes most answers wrong.

    The mean contribution ranks no column: one that nearly never varies may have a large one, and remove no error."""
    known = [(one.column, one.rise) for one in columns if one.rise is not None]
    largest = sorted(known, key=lambda one: -one[1].value)[:MOST_BARS]
    words = [f"{short(rise.value, '+')} ({short(rise.low)}, {short(rise.high)})" for _, rise in largest]
    bars = [(name, max(rise.value, 0.0), said) for (name, rise), said in zip(largest, words, strict=True)]
    return _bars(bars, title="rise of the error when a column's cells are exchanged")


def _example(example: ExampleExplanation | None) -> Iterable[Markup]:
    """The pictures of one row: its image, its words, its hours, and a bar for each of its other cells."""
    if example is None:
        return
    kinds = {one.kind for one in example.contributions}
    if example.image and "patch" in kinds:
        yield _patches(example)
    if "word" in kinds:
        yield _words(example)
    if "hours" in kinds:
        yield _hours(example)
    cells = [one for one in example.contributions if one.kind == "cell" and one.contribution]
    if cells:
        largest = sorted(cells, key=lambda one: -abs(one.contribution))[:MOST_BARS]
        named = [(f"{_name(one)} {one.value}", one.contribution, f"{short(one.contribution, '+')}") for one in largest]
        yield _bars(named, title=f"one row, answered {example.answer}: {example.explains} {short(example.output)}")


def _name(one: ExampleContribution) -> str:
    return f"{one.column}, {one.place}" if one.place else one.column


def _bars(bars: Sequence[tuple[str, float, str]], *, title: str) -> Markup:
    """Horizontal bars: to the right for what adds to the answer, to the left for what takes away. Each is (name,
    length, figure)."""
    # `or 1.0`: if all contributions are 0, the division below must still work.
    longest = max((abs(length) for _, length, _ in bars), default=0.0) or 1.0
    signed = any(length < 0 for _, length, _ in bars)
    room = WIDTH - NAMES - FIGURES
    # With negative bars the line of 0 is in the middle, and each side has half of the room.
    zero = NAMES + (room / 2 if signed else 0.0)
    unit = (room / 2 if signed else room) / longest
    height = LINE * len(bars) + 24
    rows = []
    for place, (name, length, figure) in enumerate(bars):
        y, width = 24 + place * LINE, max(abs(length) * unit, 0.5)
        x = zero if length >= 0 else zero - width
        rows += [
            element("text", _short(name), x=NAMES - 8, y=y + 14, class_="note end"),
            element("rect", element("title", f"{name}: {length:.4g}"), x=x, y=y + 3, width=width, height=LINE - 8,
                    class_="adds" if length >= 0 else "takes"),
            element("text", figure, x=WIDTH, y=y + 14, class_="axis end"),
        ]  # fmt: skip
    return _figure(element("text", title, x=0, y=12, class_="axis"), *rows, height=height, label=title)


def _hours(example: ExampleExplanation) -> Markup:
    """A bar for each stretch of hours, the sum over its columns. The newest is on the right."""
    sums: defaultdict[str, float] = defaultdict(float)
    for one in example.contributions:
        if one.kind == "hours":
            sums[one.place] += one.contribution
    longest = max(map(abs, sums.values()), default=0.0) or 1.0
    step, middle = WIDTH / max(len(sums), 1), 24 + HOURS_HEIGHT / 2
    bars = []
    for place, (hours, amount) in enumerate(sums.items()):
        height = max(abs(amount) / longest * HOURS_HEIGHT / 2, 0.5)
        kind = "adds" if amount >= 0 else "takes"
        box = {"x": place * step, "y": middle - (height if amount >= 0 else 0), "width": step * 0.8, "height": height}
        bars.append(element("rect", element("title", f"{hours}: {amount:+.4g}"), **box, class_=kind))
    # A step of len - 1 leaves the first and the last stretch; a single stretch is both.
    ends = list(sums)[:: max(len(sums) - 1, 1)]
    title = f"one row, answered {example.answer}: what its hours added"
    return _figure(
        element("text", title, x=0, y=12, class_="axis"),
        element("line", x1=0, x2=WIDTH, y1=middle, y2=middle, class_="grid"),
        *bars,
        element("text", ends[0], x=0, y=HOURS_HEIGHT + 42, class_="axis"),
        element("text", ends[-1], x=WIDTH, y=HOURS_HEIGHT + 42, class_="axis end"),
        height=HOURS_HEIGHT + 48,
        label=title,
    )


def _words(example: ExampleExplanation) -> Markup:
    """The text of the row. A word is coloured the more strongly, the more it added or took away."""
    words = [one for one in example.contributions if one.kind == "word"]
    largest = max((abs(one.contribution) for one in words), default=0.0) or 1.0
    marked = [
        element("mark", one.place or one.value, title=f"{one.contribution:+.4g}", **_shade(one.contribution / largest))
        for one in words
    ]
    lead = element("span", f"one row, answered {example.answer}: ", class_="detail")
    spaced = [part for mark in marked for part in (mark, Markup(" "))]
    return element("div", element("p", lead, *spaced, class_="words"))


def _shade(share: float) -> dict[str, str]:
    """The attributes of a word: class and colour. `share` is its part of the largest contribution, -1 to 1."""
    if abs(share) < FAINTEST:
        return {"class_": "none"}
    kind, colour = ("adds", "--blue") if share > 0 else ("takes", "--red")
    strength = f"{100 * abs(share):.0f}%"
    return {
        "class_": kind,
        "style": f"background: color-mix(in srgb, var({colour}) calc({strength} * 0.6), transparent)",
    }


def _patches(example: ExampleExplanation) -> Markup:
    """The image with its patches over it, coloured by what each added or took away."""
    width, height = example.size
    patches = [one for one in example.contributions if one.box is not None]
    largest = max((abs(one.contribution) for one in patches), default=0.0) or 1.0
    cover = []
    for one in patches:
        share = one.contribution / largest
        if one.box is None or abs(share) < FAINTEST:
            continue
        x, y, across, down = one.box
        title = element("title", f"{one.place}: {one.contribution:+.4g}")
        kind = "adds" if share > 0 else "takes"
        box = {"x": float(x), "y": float(y), "width": float(across), "height": float(down)}
        cover.append(element("rect", title, **box, opacity=f"{abs(share) * 0.7:.2f}", class_=kind))
    source = f"data:image/png;base64,{example.image}"
    words = f"one image, answered {example.answer}: what its patches added"
    picture = element(
        "svg",
        element("image", href=source, width=float(width), height=float(height), style="image-rendering: pixelated"),
        *cover,
        viewBox=f"0 0 {width} {height}",
        style=f"max-width: {PICTURE:.0f}px",
        role="img",
        aria_label=words,
    )
    return element("div", element("p", words, class_="detail small"), picture)


def _figure(*parts: Markup, height: float, label: str) -> Markup:
    """A picture of the common width in a `div`. `label` describes it for screen readers."""
    picture = element("svg", together(*parts), viewBox=f"0 0 {WIDTH:.0f} {height:.0f}", role="img", aria_label=label)
    return element("div", picture)


def _short(name: str) -> str:
    """The name, cut to 22 characters: its beginning and, as names of one kind begin alike, its end."""
    return name if len(name) <= 22 else f"{name[:10]}…{name[-11:]}"
