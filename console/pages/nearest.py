"""The training rows nearest to a decision as a table, with images as pictures."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from console.pages.markup import element, together
from console.presenters.examples import ENDS, example_notes, example_rows
from console.queries.nearest_examples import NearestExamples

PICTURES = {"iVBORw0KGgo": "png", "/9j/": "jpeg"}
"""How the base64 of a picture begins that a browser can show. Raw pixels are not such a picture."""


def nearest(found: NearestExamples | None) -> Markup:
    """The table, and below it what was compared. Empty if no training rows may be shown."""
    if found is None:
        return Markup("")
    head, *rows = example_rows(found)
    columns = ["the decision", *ENDS[: len(found.examples)]]
    cells = [element("th", name, scope="col") for name in ("", *columns)]
    lines = [_line(row, columns, found) for row in (head, *rows)]
    table = element("table", element("thead", element("tr", *cells)), element("tbody", *lines), class_="nearest")
    lead = f"The newest decision, {found.decision}, and the training rows that are most like it."
    return together(
        element("p", lead, class_="detail note-line"),
        element("div", table, class_="scroll", tabindex="0", role="region", aria_label="Nearest training rows"),
        element("p", ". ".join(example_notes(found)) + ".", class_="detail note-line"),
    )


def _line(row: dict[str, str], columns: list[str], found: NearestExamples) -> Markup:
    """One line of the table. In a column of images, a cell that a browser can show becomes a picture."""
    name = row["what"]
    cells: list[Markup | str] = [row.get(column, "") for column in columns]
    if name in found.images:
        held = (found.row.get(name), *(one.row.get(name) for one in found.examples))
        cells = [_picture(cell) or text for cell, text in zip(held, cells, strict=True)]
    return element("tr", element("th", name, scope="row"), *(element("td", cell) for cell in cells))


def _picture(cell: Any) -> Markup | None:
    """The picture of a cell in base64; None if a browser cannot show it."""
    kind = next((kind for start, kind in PICTURES.items() if isinstance(cell, str) and cell.startswith(start)), None)
    return None if kind is None else element("img", src=f"data:image/{kind};base64,{cell}", alt="")
