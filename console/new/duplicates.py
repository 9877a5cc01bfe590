"""Finds what comes more than once: columns that are copies, equal rows, equal images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from math import log

import pyarrow as pa
import pyarrow.compute as pc

from millrace.console.new.columns import LeftOut, Profile
from millrace.console.new.words import SHOWN, first_of, repeated_rows

REPEATED = 0.01
"""Repeated rows are reported if they are more than this share of the rows, and more than chance makes them."""
RARELY_EQUAL = 0.5
"""Rows are never equal by chance if one of their columns has so many different values, as a share of the rows: then any
equal row is reported."""


def copies(columns: Sequence[Profile]) -> list[LeftOut]:
    """The columns that hold what an earlier one holds, cell by cell."""
    firsts, found = dict[bytes, Profile](), list[LeftOut]()
    for column in columns:
        if column.kind != "binary" and column.distinct > 1:
            # Values are numbered as they come first, so equal numbers are equal groups, whatever the values are.
            numbers = column.cells.dictionary_encode(null_encoding="encode").indices
            first = firsts.setdefault(numbers.to_numpy().tobytes(), column)
            if first is not column and _is_equal(first, column):
                found.append(
                    LeftOut(name=column.name, reason=f"a copy of {first.name} (--keep {column.name} takes it)")
                )
    return found


def _is_equal(first: Profile, other: Profile) -> bool:
    one, two = first.cells, other.cells
    if first.is_number and other.is_number:
        one, two = one.cast(pa.float64(), safe=False), two.cast(pa.float64(), safe=False)
    return bool(one.type == two.type and one.equals(two))


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
