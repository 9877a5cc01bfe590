"""Finds cells that hold several things, tags such as `red;blue` or a list of numbers, and makes columns of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from millrace.console.new.read import Source
from millrace.console.new.roles import Choices
from millrace.console.new.words import MISSING
from millrace.contract.parts import MOST_PLACES, CellPart, items_of

SEPARATORS = (";", "|", ",")
"""Tried in this order. Commas part tags of a label, tags in brackets, and others if cells have one, two or more: of a
city and its country each cell has two."""
MOST_TAGS = 64
FEWEST_OF_A_TAG = 10
"""A tag of fewer rows gets no column."""
FEWEST_PARTED = 0.05
"""Share of the cells that must have two tags or more."""
MOST_OTHERS = 0.02
"""Share of the tags that may be words of fewer rows."""
LONGEST_TAG = 40
UNKNOWN = frozenset(MISSING) - {"", "-", "none", "None"}
"""Words for a cell of which nothing is known. `none` is known: it has no tags."""
NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
NUMBER_TYPES = (
    pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null,
)  # fmt: skip
"""Types of the items of a list that are numbers. Lists without items have the type null."""
NUMBERS = re.compile(rf"[\[(] *(?:{NUMBER}(?: *[,;] *{NUMBER})*)? *[\])]")


def part_cells(source: Source, choices: Choices) -> tuple[Source, Choices]:
    """The source with columns of their own for the parts of shared cells, and the choices with the labels among them.

    A label of tags becomes several labels, each yes or no."""
    for name in source.table.column_names:
        if name in choices.leave_out or name == choices.event_time or name in choices.key:
            continue
        is_label = (choices.labels or (choices.label,)) == (name,) and choices.kind in ("", "multilabel")
        parts = _parts(source, name, is_label=is_label)
        if not parts:
            continue
        source = _with_parts(source, name, parts)
        said = ", ".join(part.tag for part in parts.values() if part.tag) or f"{len(parts)} places"
        source = replace(source, notes=(*source.notes, f"{name}: several things in a cell, a column for each: {said}"))
        if is_label and len(parts) > 1:
            choices = replace(choices, label=next(iter(parts)), labels=tuple(parts))
    return source, choices


def _parts(source: Source, name: str, *, is_label: bool) -> dict[str, CellPart]:
    """The columns of the cells of this name; empty if they hold one thing each."""
    cells = source.table[name].combine_chunks()
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    of = source.names_in_file.get(name, name)
    taken = {*source.table.column_names} - {name}
    if pa.types.is_list(cells.type) or pa.types.is_large_list(cells.type):
        item = cells.type.value_type
        is_text = pa.types.is_string(item) or pa.types.is_large_string(item)
        if not (is_text or any(is_number(item) for is_number in NUMBER_TYPES)):
            return {}
        lists = [items_of(cell, ";", in_places=not is_text) or [] for cell in cells.drop_null().to_pylist()]
        return _tags(lists, name, of, ";", taken) if is_text else _places(lists, name, of, ",", taken)
    if not (pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type)):
        return {}
    # Most columns hold one thing in each cell: they are told before any cell is parted.
    parted = [separator for separator in SEPARATORS if _share_with(cells, re.escape(separator)) >= FEWEST_PARTED]
    has_brackets = bool(_share_with(cells, r"^\s*[\[(]"))
    if not parted and not has_brackets:
        return {}
    texts = [text for text in cells.drop_null().to_pylist() if text not in UNKNOWN]
    if not any(texts):
        return {}
    if not is_label and all(NUMBERS.fullmatch(text.strip()) for text in texts if text):
        separator = ";" if any(";" in text for text in texts) else ","
        lists = [items_of(text, separator, in_places=True) or [] for text in texts if text]
        return _places(lists, name, of, separator, taken)
    is_list = any(text.startswith("[") for text in texts)
    for separator in SEPARATORS if has_brackets else parted:
        lists = [items_of(text, separator, in_places=False) or [] for text in texts]
        # FEWEST_PARTED of the cells, or more, have one thing, and as many have several.
        counts = Counter(min(len(items), 2) for items in lists)
        varies = min(counts[1], counts[2]) >= FEWEST_PARTED * len(lists)
        are_tags = separator != "," or is_label or is_list or varies
        if are_tags and (found := _tags(lists, name, of, separator, taken)):
            return found
    return {}


def _share_with(cells: pa.Array, pattern: str) -> float:
    """The share of the cells, missing ones and words for them left out, in which the pattern is found."""
    known = cells.filter(pc.invert(pc.is_in(cells, pa.array(UNKNOWN, cells.type)))).drop_null()
    return float(pc.mean(pc.match_substring_regex(known, pattern)).as_py() or 0)


def _tags(lists: Sequence[list[Any]], name: str, of: str, separator: str, taken: set[str]) -> dict[str, CellPart]:
    counts = Counter(tag for items in lists for tag in dict.fromkeys(items))
    frequent = sorted(tag for tag, rows in counts.items() if rows >= FEWEST_OF_A_TAG)
    others = sum(rows for rows in counts.values() if rows < FEWEST_OF_A_TAG)
    if not 2 <= len(frequent) <= MOST_TAGS or others > MOST_OTHERS * counts.total():
        return {}
    if max(map(len, frequent)) > LONGEST_TAG or sum(len(items) > 1 for items in lists) < FEWEST_PARTED * len(lists):
        return {}
    parts = {_free(f"{name}_{tag}", taken): CellPart(of=of, separator=separator, tag=tag) for tag in frequent}
    return parts if len(parts) == len(frequent) else {}


def _places(lists: Sequence[list[Any]], name: str, of: str, separator: str, taken: set[str]) -> dict[str, CellPart]:
    """A column for each place of the longest list; a shorter one leaves the last places missing."""
    most = max(map(len, lists), default=0)
    if not 1 < most <= MOST_PLACES:
        return {}
    places = range(1, most + 1)
    return {_free(f"{name}_{place}", taken): CellPart(of=of, separator=separator, place=place) for place in places}


def _free(name: str, taken: set[str]) -> str:
    plain = re.sub(r"[^\w]+", "_", name).strip("_")
    while plain in taken:
        plain += "_"
    return plain


def _with_parts(source: Source, name: str, parts: dict[str, CellPart]) -> Source:
    cells: list[Any] = source.table[name].to_pylist()
    has_text = any(isinstance(cell, str) for cell in cells)
    words = tuple(dict.fromkeys(cell for cell in cells if cell in UNKNOWN)) if has_text else ()
    # An empty cell of CSV has no tags, as a list without items. A null says nothing.
    first = next(iter(parts.values()))
    empty = "" if source.has_typed_text and first.tag else None
    known = [None if words and cell in words else empty if cell is None else cell for cell in cells]
    lists = [items_of(cell, first.separator, in_places=not first.tag) for cell in known]
    place = source.table.column_names.index(name)
    table = source.table.remove_column(place)
    for at, (column, part) in enumerate(parts.items(), place):
        own = [part.cell_of(items) for items in lists]
        typed = pa.array(own, pa.bool_()) if part.tag else pa.array(map(_number, own), pa.float64())
        table = table.add_column(at, column, pa.chunked_array([typed]))
    missing = {**source.part_words, **dict.fromkeys(parts, words)}
    return replace(source, table=table, parts={**source.parts, **parts}, part_words=missing)


def _number(item: Any) -> float | None:
    return None if item is None else float(item)
