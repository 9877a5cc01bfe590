"""Columns that share one cell of a file: tags such as `red;blue`, numbers in a list such as `[1, 2, 3]`.

The custom property `part` of a column says which part it is: `{of: colours, tag: red, separator: ";"}` is true if the
cell `colours` has the tag, and `{of: readings, place: 2, separator: ","}` is the second of the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from millrace.contract.csv_form import CsvForm

SEPARATORS = (";", ",", "|", "/", " ", "+")
QUOTES = "\"'"
BRACKETS = ("[]", "()", "{}")
MOST_PLACES = 1000


@dataclass(frozen=True, kw_only=True)
class CellPart:
    """What a column takes of a cell that it shares with others."""

    of: str
    """The name of the cell in files."""
    separator: str
    tag: str = ""
    """The word that makes the column true. Another tag, which no column has, is not read."""
    place: int = 0
    """The place in the list, counted from 1; 0 for a tag."""

    def cell_of(self, items: list[Any] | None) -> Any:
        """The column's own cell: of a tag whether it is among the items, of a place the item; None for no list."""
        if items is None:
            return None
        if self.tag:
            return self.tag in items
        return items[self.place - 1] if self.place <= len(items) else None


def cells_of(cell: Any, parts: Sequence[CellPart]) -> list[Any]:
    """The cell of each column that shares `cell`. Raises ValueError for no list, and for one that is too long."""
    tags, places = (items_of(cell, parts[0].separator, in_places=each) for each in (False, True))
    last = 0 if any(part.tag for part in parts) else max(part.place for part in parts)
    if last and places is not None and len(places) > last:
        raise ValueError(cell)
    return [part.cell_of(tags if part.tag else places) for part in parts]


def own_cells(cell: Any, parts: Sequence[CellPart], plain: Sequence[bool]) -> Iterator[Any]:
    """The cell of each of the columns that share `cell`; of what is no list a cell of no kind.

    `plain` says of each column whether it holds numbers in the usual form, so that a text is read as one."""
    try:
        cells = cells_of(cell, parts)
    except ValueError:
        cells = [[cell]] * len(parts)  # a list is a cell of no kind
    for own, is_number in zip(cells, plain, strict=True):
        number = CsvForm().value_of(own) if is_number and isinstance(own, str) else None
        yield own if number is None else number


def items_of(cell: Any, separator: str, *, in_places: bool) -> list[Any] | None:
    """The items of a shared cell, which is a list or a text; None for a missing cell, which says nothing.

    An empty text or list has no items: that is known, not missing. Brackets around a text and quotes around its items
    do not count: `["red", "blue"]` has the items of `red;blue`. Tags are texts that are not empty; of items
    `in_places` an empty one is None, as in `[1,,3]`. Raises ValueError for another cell."""
    if cell is None:
        return None
    if not isinstance(cell, str | list):
        raise ValueError(cell)
    items = _parted(cell, separator) if isinstance(cell, str) else cell
    if in_places:
        return items
    return [tag for item in items if item is not None and (tag := str(item).strip())]


def _parted(cell: str, separator: str) -> list[str | None]:
    """The items of a text, an empty one as None; behind a last separator there is none."""
    text = cell.strip()
    if text[:1] + text[-1:] in BRACKETS:
        text, separator = text[1:-1], separator if separator in text else ","
    # Several spaces are one separator.
    each = text.split(None if separator == " " else separator)
    items = [item.strip().strip(QUOTES).strip() or None for item in each]
    return items[:-1] if items and items[-1] is None else items


def read_part(value: object) -> CellPart:
    """The part that a contract declares. Raises ValueError for another value; its message is what was expected."""
    if not isinstance(value, Mapping) or {*value, "separator"} not in (
        {"of", "tag", "separator"},
        {"of", "place", "separator"},
    ):
        raise ValueError("a mapping of `of`, `separator`, and `tag` or `place`")
    found = {"separator": ";", **value}
    if not all(isinstance(found[name], str) and found[name] for name in ("of", *(["tag"] if "tag" in found else []))):
        raise ValueError("texts for `of` and `tag`")
    if found["separator"] not in SEPARATORS:
        raise ValueError(f"separator: one of {', '.join(map(repr, SEPARATORS))}")
    place = found.get("place", 1)
    if type(place) is not int or not 1 <= place <= MOST_PLACES:
        raise ValueError(f"place: 1 to {MOST_PLACES}")
    return CellPart(**found)
