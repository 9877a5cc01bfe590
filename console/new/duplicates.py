"""Finds what comes more than once: columns that are copies or say the same, equal rows, images, runs of a number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from math import log
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from millrace.console.new.columns import LeftOut, Profile
from millrace.console.new.words import SHOWN, first_of, repeated_rows

REPEATED = 0.01
"""Repeated rows are reported if they are more than this share of the rows, and more than chance makes them."""
RARELY_EQUAL = 0.5
"""Rows are never equal by chance if one of their columns has so many different values, as a share of the rows: then any
equal row is reported."""

FEWEST_VALUES = 20
"""A column of fewer different numbers moves in steps, and each of its steps lasts."""
FEWEST_ROWS = 24
"""A run of fewer rows is never unusual."""
USUAL = 0.9
"""The usual length: this share of the other rows lies in runs of equal numbers of at most that length."""
LONGER = 4
"""A run is unusual if it is at least 4 times as long as the usual length."""
RESTING = 0.05
"""A number of at least this share of the other rows is one at which the column rests, however long.

In a column without negative numbers 0 is such a number, too: heating in summer."""


def copies(columns: Sequence[Profile]) -> list[LeftOut]:
    """The columns that hold what an earlier one holds, cell by cell."""
    return [
        LeftOut(name=copy.name, reason=f"a copy of {first.name} (--keep {copy.name} takes it)")
        for first, others in _alike(columns)
        for copy in others
        if _is_equal(first, copy)
    ]


def recodings(columns: Sequence[Profile]) -> Iterator[str]:
    """A sentence on columns of which each tells the others: `country` and `country_code`."""
    for first, others in _alike([column for column in columns if 2 * column.distinct <= len(column.cells)]):
        if said := [other.name for other in others if not _is_equal(first, other)]:
            yield f"{first.name} and {', '.join(said)} say the same: each value of one goes with one of the other"


def _alike(columns: Sequence[Profile]) -> Iterator[tuple[Profile, list[Profile]]]:
    """The columns by which the rows fall into the same groups of equal cells: the first one, and the others."""
    groups: dict[bytes, list[Profile]] = {}
    for column in columns:
        if column.kind != "binary" and column.distinct > 1:
            # Values are numbered as they come first, so equal numbers are equal groups, whatever the values are.
            numbers = column.cells.dictionary_encode(null_encoding="encode").indices
            groups.setdefault(numbers.to_numpy().tobytes(), []).append(column)
    return ((first, others) for first, *others in groups.values() if others)


def _is_equal(first: Profile, other: Profile) -> bool:
    one, two = first.cells.drop_null(), other.cells.drop_null()
    if first.is_number and other.is_number:
        one, two = one.cast(pa.float64(), safe=False), two.cast(pa.float64(), safe=False)
    # Alike columns may differ in what is missing: one has a value where the other has none.
    return bool(one.type == two.type and len(one) == len(two) and pc.all(pc.equal(one, two)).as_py())


def equal_rows(rows: pa.Table, key: Sequence[str]) -> Iterator[str]:
    """A sentence on rows that repeat another one in every column but key and time."""
    # Rows with images are compared image by image.
    kept = [name for name in rows.column_names if name not in key and not pa.types.is_timestamp(rows[name].type)]
    if len(kept) < 2 or any(pa.types.is_binary(rows[name].type) for name in kept):
        return
    repeated = repeated_rows([rows[name] for name in kept])
    distinct = [pc.count_distinct(rows[name]).as_py() for name in kept]
    most = REPEATED * rows.num_rows
    if max(distinct) >= RARELY_EQUAL * rows.num_rows:
        most = 0
    # Where the columns have few values together, rows of different things are equal by chance. How many combinations
    # there are is compared by its logarithm: that of a hundred columns of numbers is beyond the largest float.
    elif sum(log(max(each, 1)) for each in distinct) < log(rows.num_rows / REPEATED):
        most = rows.num_rows
    if repeated > most:
        said = "1 row repeats" if repeated == 1 else f"{repeated:,} rows repeat"
        yield f"{said} another one in every column but key and time: the same row may train and test"


def equal_images(rows: pa.Table, label: str, key: Sequence[str]) -> Iterator[str]:
    """Sentences on images that come more than once, byte for byte: with different labels, then with the same."""

    for image in (name for name in rows.column_names if pa.types.is_binary(rows[name].type)):
        names = [" ".join(map(str, row.values())) for row in rows.select(list(key)).to_pylist()]
        same: dict[bytes, list[int]] = {}
        for at, cell in enumerate(rows[image]):
            if cell.is_valid:
                same.setdefault(sha256(cell.as_buffer()).digest(), []).append(at)
        labels = rows[label].to_pylist()
        # Groups of equal images whose labels differ. Each other repeat is a plain one.
        apart = [places for places in same.values() if len({labels[at] for at in places}) > 1]
        if apart:
            pairs = [" and ".join(f"{names[at]} ({labels[at]!r})" for at in places[:SHOWN]) for places in apart]
            shown = first_of(pairs, "; ")
            yield f"{image}: the same image with different labels, {len(apart):,}×: {shown}: no model is right on both"
        if more := sum(map(len, same.values())) - len(same) - sum(len(places) - 1 for places in apart):
            repeat = "1 image repeats" if more == 1 else f"{more:,} images repeat"
            yield f"{image}: {repeat} another one of the same label: the same image may train and test"


def standing_still(
    rows: pa.Table, columns: Sequence[str], *, key: Sequence[str], event_time: str, series: int
) -> Iterator[str]:
    """A sentence on each of these columns of numbers that stands still, with the longest time in which it does.

    `series` is the number of entities in the rows."""

    from millrace.features.as_of import entity_times

    entity = [name for name in key if name != event_time]
    [found] = entity_times([rows], entity=entity, event_time=event_time)
    order_N = np.lexsort((found.time_N, found.entity_N))
    for name in columns:
        all_N = rows[name].to_numpy().astype(np.float64)[order_N]
        # A missing number ends no run: a sensor that stands still may fail now and then.
        known_N = ~np.isnan(all_N)
        values_N, places_N = all_N[known_N], order_N[known_N]
        long = _unusual_runs(values_N, found.entity_N[places_N])
        if not long:
            continue
        start, count = max(long, key=lambda run: run[1])
        first, last = (rows[event_time][int(places_N[at])].as_py() for at in (start, start + count - 1))
        whose = ", ".join(f"{part} {rows[part][int(places_N[start])].as_py()}" for part in entity) if series > 1 else ""
        more = len(long) - 1
        others = f", and {more} more such {'time' if more == 1 else 'times'}" if more else ""
        yield (
            f"{name}: {values_N[start]:g} in {count:,} rows in a row{f' of {whose}' if whose else ''}, from "
            f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}{others}: did the sensor stand still?"
        )


def _unusual_runs(values_N: npt.NDArray[np.float64], entity_N: npt.NDArray[Any]) -> list[tuple[int, int]]:
    """Start and length of each run of equal numbers that is unusually long. No number may be NaN."""

    if not len(values_N):
        return []
    # A run ends where the number or the entity changes. `_R` has one element for each run.
    changes_N = (values_N[1:] != values_N[:-1]) | (entity_N[1:] != entity_N[:-1])
    starts_R = np.concatenate([[0], np.flatnonzero(changes_N) + 1])
    lengths_R = np.diff([*starts_R, len(values_N)])
    if len(np.unique(values_N[starts_R])) < FEWEST_VALUES:
        return []
    # The usual length without the longest run, which would count as usual itself. Each run is repeated by its length,
    # so the quantile is one of rows and not of runs.
    longest = int(lengths_R.argmax())
    others_R = np.delete(lengths_R, longest)
    usual = float(np.quantile(np.repeat(others_R, others_R), USUAL))
    found = []
    for run in np.flatnonzero(lengths_R >= max(FEWEST_ROWS, LONGER * usual)):
        same_R = values_N[starts_R] == values_N[starts_R[run]]
        resting = int(lengths_R[same_R].sum() - lengths_R[run])
        rests_at_zero = values_N[starts_R[run]] == 0 <= values_N[starts_R].min()
        if not rests_at_zero and resting < RESTING * int(lengths_R.sum() - lengths_R[run]):
            found.append((int(starts_R[run]), int(lengths_R[run])))
    return found
