"""The page on which a person decides one item: the row as a person reads it, the model's answer, and the choices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from millrace.console.pages.plot import Scale, element, places, together
from millrace.console.pages.template import template
from millrace.console.pictures import data_uri
from millrace.console.presenters.contributions import contribution_rows
from millrace.console.queries.reviews import Question, ShownItem, Waiting
from millrace.console.queries.stored import Unread
from millrace.console.words import age, figure, spelled
from millrace.contract.kinds import INTEGERS, NUMBERS
from millrace.contract.schema import Table
from millrace.decisions.review import ReviewItem
from millrace.names import WorkloadNames

MOST_BUTTONS = 10
"""Up to ten choices are buttons, with a digit as their key; of more one is typed."""
WIDTH, HEIGHT = 320.0, 64.0
"""Of a curve, in pixels."""
SHORTEST = 5
"""A list with fewer numbers is written."""


def review_page(
    names: WorkloadNames,
    question: Question,
    *,
    asked: str,
    item: ReviewItem | None,
    shown: ShownItem | Unread | None,
    table: Table,
    token: str,
    waiting: Waiting,
    message: str = "",
    can_undo: bool = False,
    explanation: Mapping[str, Any] | None = None,
) -> str:
    """The page as HTML; without an item it says that none waits. `table` is the contract's table of rows to score.

    `asked` is the question that the model answers, `token` the secret of the forms. `explanation` is the answer taken
    apart, if the person has asked for it."""
    label = question.labels.column(question.prediction.label_columns[0])
    keys = {str(choice): key for key, choice in question.keys.items() if len(key) == 1}
    return template("review.html.jinja", spelled=spelled).render(
        title=f"{names.workload}, review",
        names=names,
        question=question,
        item=item,
        shown=shown if isinstance(shown, ShownItem) else None,
        unread=shown if isinstance(shown, Unread) else None,
        rows=list(_rows(shown, table)) if isinstance(shown, ShownItem) else [],
        asked=asked,
        choices=[(choice, keys.get(str(choice), "")) for choice in question.choices],
        most_buttons=MOST_BUTTONS,
        label=label,
        is_number=label.kind in NUMBERS,
        step="1" if label.kind in INTEGERS else "any",
        ends=age(item.expires_at - item.opened_at) if item else "",
        waiting=waiting,
        token=token,
        message=message,
        can_undo=can_undo,
        explanation=contribution_rows(explanation) if explanation else None,
    )


def _rows(shown: ShownItem, table: Table) -> Iterator[tuple[str, str, str | Markup]]:
    """Name, unit and cell of each column: images first, since they are what is looked at."""
    units = {column.name: column.unit for column in table.columns}
    for name, content in shown.images.items():
        yield name, "", _picture(name, content)
    for name, cell in shown.row.items():
        yield name, units.get(name, ""), _cell(name, cell)


def _picture(name: str, content: bytes) -> Markup | str:
    source = data_uri(content)
    if source is None:
        return f"{len(content):,} bytes, which a browser cannot show"
    return element("img", src=source, alt=f"the image {name}")


def _cell(name: str, cell: Any) -> Markup | str:
    """The cell as text; a list of numbers, and each column of a past, as a curve."""
    if not isinstance(cell, list):
        return _text(cell)
    if cell and all(isinstance(one, Mapping) for one in cell):
        series = {key: [one.get(key) for one in cell] for key in cell[-1]}
        numbers = {key: values for key, values in series.items() if _are_numbers(values)}
        return together(*(element("div", key, _curve(key, values)) for key, values in numbers.items()))
    if len(cell) >= SHORTEST and _are_numbers(cell):
        return _curve(name, cell)
    return ", ".join(map(_text, cell))


def _text(cell: Any) -> str:
    """The whole cell: a person decides by it, so that no text is cut."""
    return "missing" if cell is None else f"{cell:.10g}" if isinstance(cell, float) else str(cell)


def _are_numbers(values: Sequence[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)


def _curve(name: str, values: Sequence[float | None]) -> Markup:
    """The values in their order, the newest on the right; a gap is left out."""
    known = [(at, value) for at, value in enumerate(values) if value is not None and math.isfinite(value)]
    if not known:
        return element("span", "no value")
    numbers = [value for _, value in known]
    low, high = min(numbers), max(numbers)
    x = Scale(low=0, high=max(len(values) - 1, 1), start=2, stop=WIDTH - 2)
    y = Scale(low=low, high=high if high > low else low + 1, start=HEIGHT - 4, stop=4)
    points = places((x(at), y(value)) for at, value in known)
    said = f"{name}: {len(values)} values from {figure(low)} to {figure(high)}, the last {figure(numbers[-1])}"
    picture = element("polyline", points=points, class_="curve validation")
    svg = element("svg", picture, viewBox=f"0 0 {WIDTH:.0f} {HEIGHT:.0f}", role="img", aria_label=said)
    return together(svg, element("span", said.partition(": ")[2], class_="detail"))
