"""Judges what tells rows apart: columns that name rows, and columns that make series of them together with the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.console.new.columns import MOST_MISFITS, Profile
from millrace.console.new.times import REGULAR, Places, hours_in_words, micros
from millrace.console.new.words import is_identifier, why_protected

CODE = r"^[A-Za-z0-9][A-Za-z0-9_./:#-]{0,63}$"
DIGIT = r"[0-9]"
MOST_COLUMNS = 4
"""Most columns of a key beside the time."""
MOST_TRIED = 10
"""Most columns of which combinations are tried."""
FEWEST_OF_ONE = 10
"""Rows that an entity has at least, on average: fewer are no series."""
SHOWN = 3
SECOND_US = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The rows as series of entities, by the columns of a key beside the time. No columns: the rows are one series."""

    columns: tuple[str, ...]
    event_time: str
    rows: int
    entities: int
    repeated: int
    """Rows that repeat an earlier row's key and time."""
    step_s: int
    """The usual distance of two rows of an entity, in seconds; 0 if there is none."""
    is_regular: bool
    """Whether nearly all neighbours lie at the usual distance."""

    @property
    def is_series(self) -> bool:
        """Whether the entities have enough rows, at equal distances, those that repeat a time aside."""
        return self.is_regular and self.rows - self.repeated >= FEWEST_OF_ONE * self.entities

    @property
    def option(self) -> str:
        return f"--key {','.join((*self.columns, self.event_time))}"

    @property
    def effect(self) -> str:
        """What the key does to the rows, in words."""
        series = "one series" if self.entities == 1 else f"{self.entities:,} series"
        steps = f" with a row each {hours_in_words(self.step_s / 3600)}" if self.is_regular else ""
        lost = f"{self.repeated:,} of {self.rows:,} rows repeat a time and will be quarantined"
        return f"{series}{steps}; {lost if self.repeated else 'no row repeats a time'}"

    def __str__(self) -> str:
        return f"{self.option} ({self.effect})"


class Panels:
    """The panels that combinations of columns make of the rows."""

    def __init__(self, columns: Sequence[Profile], event_time: Profile) -> None:
        """`columns` may be in a key. Those that differ in nearly every row are no entity of a series."""
        rows = len(event_time.cells)
        fit = [one for one in columns if not one.is_time and 1 < one.distinct <= rows / FEWEST_OF_ONE]
        fit.sort(key=lambda one: (not is_identifier(one.name), one.kind != "string", one.distinct))
        self._event_time = event_time
        self._places = {one.name: place for place, one in enumerate(columns)}
        self._counts = {one.name: one.distinct for one in fit[:MOST_TRIED]}
        self._codes = {one.name: _codes(one.cells) for one in fit[:MOST_TRIED]}
        times = micros(event_time.cells)
        self._known_N = np.asarray(times.is_valid())
        self._time_N: Places = times.fill_null(0).to_numpy()

    def panel(self, names: Sequence[str]) -> Panel:
        """What the columns of these names make of the rows. A row without a time does not count."""
        entity_N = np.zeros(len(self._time_N), dtype=np.int64)
        for name in names:
            pairs_N = entity_N * (self._counts[name] + 1) + self._codes[name]
            entity_N = np.unique(pairs_N, return_inverse=True)[1].astype(np.int64)
        entity_N, time_N = entity_N[self._known_N], self._time_N[self._known_N]
        order = np.lexsort((time_N, entity_N))
        apart_s = np.diff(time_N[order])[(np.diff(entity_N[order]) == 0)] // SECOND_US
        later_s = apart_s[apart_s > 0]
        steps, counts = np.unique(later_s, return_counts=True)
        return Panel(
            columns=tuple(sorted(names, key=self._places.__getitem__)),
            event_time=self._event_time.name,
            rows=len(time_N),
            entities=int(entity_N.max(initial=-1)) + 1,
            repeated=int(len(apart_s) - len(later_s)),
            step_s=int(steps[counts.argmax()]) if len(steps) else 0,
            is_regular=bool(len(steps)) and bool(counts.max() >= REGULAR * len(later_s)),
        )

    def keys(self) -> list[Panel]:
        """The keys of the fewest columns, best first: identifiers and texts before numbers, then the fewest entities.

        Keys that make the same entities, such as a shop's number and its name, count as one."""
        for size in range(MOST_COLUMNS + 1):
            panels = map(self.panel, self._of(size))
            found = [panel for panel in panels if panel.is_series and panel.repeated <= MOST_MISFITS * panel.rows]
            if found:
                return [
                    panel for at, panel in enumerate(found) if not any(self._same(panel, one) for one in found[:at])
                ]
        return []

    def nearest(self) -> list[Panel]:
        """The panels that keep most rows, best first: series before others."""
        found = [self.panel(names) for size in range(MOST_COLUMNS) for names in self._of(size)]
        # Fewer columns are better if they keep as many rows.
        return sorted(found, key=lambda one: (not one.is_series, one.repeated, len(one.columns)))[:SHOWN]

    def _of(self, size: int) -> Iterator[tuple[str, ...]]:
        """The combinations of so many columns that can tell nearly all rows apart, if the time does not."""
        times = self._event_time.distinct
        fewest = (1 - MOST_MISFITS) * len(self._time_N)
        for names in combinations(self._codes, size):
            if size <= 1 or prod((self._counts[name] for name in names), start=times) >= fewest:
                yield names

    def _same(self, one: Panel, other: Panel) -> bool:
        if one.entities != other.entities:
            return False
        return self.panel(tuple(dict.fromkeys((*one.columns, *other.columns)))).entities == one.entities


def _codes(cells: pa.Array) -> Places:
    """A number from 0 on for each different cell; missing cells have one of their own."""
    found: Places = cells.dictionary_encode().indices.fill_null(-1).to_numpy().astype(np.int64) + 1
    return found


def key_texts(cells: Sequence[pa.Array]) -> pa.Array:
    """One text for each row. Rows with equal cells have equal texts, and a row with a null cell has null."""
    # U+001F, the unit separator, stands in no usual text: `a` and `bc` differ from `ab` and `c`.
    return pc.binary_join_element_wise(*[cell.cast(pa.string()) for cell in cells], "\x1f")


def repeated_cells(*columns: Profile) -> int:
    """How many rows repeat the cells of an earlier row in these columns.

    Rows in which one of these cells is null do not count: they are quarantined anyway."""
    texts = key_texts([column.cells for column in columns]).drop_null()
    return len(texts) - len(texts.unique())


def rank_of_names(column: Profile) -> int:
    """How well a unique column names the rows, best first:

    - 1: it is called like an identifier
    - 2: its cells are codes
    - 3: its numbers count the rows
    - 0: nothing says that it names rows"""
    if column.is_time:
        return 0
    if is_identifier(column.name):
        return 1
    if column.kind == "string":
        return 2 if _are_codes(column) and not why_protected(column.name, column.cells) else 0
    return 3 if column.kind == "int64" and _count(column) else 0


def _are_codes(column: Profile) -> bool:
    """Whether each cell is one word with a digit in it."""
    known = column.cells.drop_null()
    return all(bool(pc.all(pc.match_substring_regex(known, pattern)).as_py()) for pattern in (CODE, DIGIT))


def _count(column: Profile) -> bool:
    """Whether the whole numbers have no large gaps, or grow from row to row."""

    # Dense: the numbers span less than twice as many values as there are rows.
    known = column.cells.drop_null().to_numpy()
    return (int(known.max()) - int(known.min()) < 2 * len(known)) or bool((np.diff(known) > 0).all())
