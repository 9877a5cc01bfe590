"""The nearest training rows as a table: a line for each column, first the decision's input, then each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from millrace.features.parts import written

if TYPE_CHECKING:
    from console.queries.nearest_examples import NearestExamples


MOST_LISTED = 4
"""A list with at most so many numbers is written in full."""
ENDS = ("nearest", "second", "third")
"""The names of the table's columns for training rows."""


def example_rows(found: NearestExamples) -> list[dict[str, str]]:
    """The lines of the table: distance and label, the key, and what the model reads with each feature's distance."""
    examples = dict(zip(ENDS, found.examples, strict=False))
    rows = [
        {"what": "distance", "the decision": ""} | {end: f"{one.distance:.3f}" for end, one in examples.items()},
        {"what": "answer, labels", "the decision": found.answer}
        | {end: _cell(one.label) for end, one in examples.items()},
    ]
    # The columns of the rows, then features that have another name than a column.
    for name in dict.fromkeys([*found.row, *found.weights]):
        show = _bytes if name in found.images else _cell
        cells = {end: f"{show(one.row.get(name, ''))} {_apart(one.apart.get(name))}" for end, one in examples.items()}
        rows.append({"what": name, "the decision": show(found.row.get(name, ""))} | cells)
    return [{name: cell.strip() for name, cell in row.items()} for row in rows]


def example_notes(found: NearestExamples) -> list[str]:
    """What was compared, and what was not."""
    listed = ", ".join(f"{name} {share:.0%}" for name, share in sorted(found.weights.items(), key=lambda one: -one[1]))
    said = [f"The nearest of {found.compared:,} training rows of version {found.version}; weights: {listed}"]
    if found.hidden:
        said.append(f"Not compared and not shown, as the contract protects them: {', '.join(found.hidden)}")
    return said


def _apart(distance: float | None) -> str:
    """A feature's distance; empty if the cells are equal, and for a column that is not a feature."""
    return f"({distance:.2g} apart)" if distance else ""


def _bytes(cell: str | None) -> str:
    """The size of an image in base64: `1,204 bytes`."""
    # Four characters of base64 hold three bytes; each "=" at the end stands for one byte less.
    return f"{len(cell) * 3 // 4 - cell.count('='):,} bytes" if cell else ""


def _cell(cell: Any) -> str:
    if not isinstance(cell, list):
        return written(cell)
    # A past in a request is a list of rows; an encoded history is a list of numbers.
    if cell and isinstance(cell[-1], Mapping):
        return f"{len(cell)} rows"
    return ", ".join(map(written, cell)) if len(cell) <= MOST_LISTED else f"{len(cell)} numbers"
