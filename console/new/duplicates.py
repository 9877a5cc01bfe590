"""Finds what comes more than once in a file: columns that are copies, columns that say the same, equal rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log

import pyarrow as pa
import pyarrow.compute as pc

from millrace.console.new.columns import LeftOut, Observed
from millrace.console.new.words import repeated_rows

REPEATED = 0.01
"""Repeated rows are reported if they are more than this share of the rows, and more than chance makes them."""
RARELY_EQUAL = 0.5
"""Rows are never equal by chance if one of their columns has so many different values, as a share of the rows: then any
equal row is reported."""


def copies(columns: Sequence[Observed]) -> list[LeftOut]:
    """The columns that hold what an earlier one holds, cell by cell."""
    return [
        LeftOut(name=copy.name, reason=f"a copy of {first.name} (--keep {copy.name} takes it)")
        for first, others in _alike(columns)
        for copy in others
        if _is_equal(first, copy)
    ]


def recodings(columns: Sequence[Observed]) -> Iterator[str]:
    """A sentence on columns of which each tells the others: `country` and `country_code`."""
    for first, others in _alike([column for column in columns if 2 * column.distinct <= len(column.cells)]):
        if said := [other.name for other in others if not _is_equal(first, other)]:
            yield f"{first.name} and {', '.join(said)} say the same: each value of one goes with one of the other"


def _alike(columns: Sequence[Observed]) -> Iterator[tuple[Observed, list[Observed]]]:
    """The columns by which the rows fall into the same groups of equal cells: the first one, and the others."""
    groups: dict[bytes, list[Observed]] = {}
    for column in columns:
        if column.kind != "binary" and column.distinct > 1:
            # Values are numbered as they come first, so equal numbers are equal groups, whatever the values are.
            numbers = column.cells.dictionary_encode(null_encoding="encode").indices
            groups.setdefault(numbers.to_numpy().tobytes(), []).append(column)
    return ((first, others) for first, *others in groups.values() if others)


def _is_equal(first: Observed, other: Observed) -> bool:
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
