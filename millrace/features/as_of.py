"""The as-of join on key and event time: it finds, for each row, the rows of the same entity at given distances in time.

Example for one entity with rows at 10:00, 11:00 and 13:00, and a tolerance of one hour. The row at 13:00 finds:

    distance   3 h     2 h     1 h    0 h
    row        10:00   11:00   none   13:00

Axes: N rows that look, M rows that are looked at, T distances. Times are in microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Integers = npt.NDArray[np.int64]

HOUR_US = 3_600_000_000
NONE = -1
"""The index that stands for no row."""


@dataclass(frozen=True, kw_only=True)
class EntityTimes:
    """The entity of each row, as a number, and its event time in microseconds since 1970."""

    entity_N: Integers
    time_N: Integers

    def __len__(self) -> int:
        return len(self.time_N)


def as_of(rows: EntityTimes, others: EntityTimes, *, distances_T: Integers, tolerance_us: int) -> Iterator[Integers]:
    """For each distance, in order, the index into `others` of the row that each row finds (N); NONE without one.

    At the distance d, a row finds the latest row of its entity whose time t fulfils
    `time - d - tolerance_us < t <= time - d`. It never finds a row that is later than `time - d`. Of several rows at
    the same time, it finds the last one. A negative distance looks ahead."""
    import numpy as np

    if not len(others):
        yield from (np.full(len(rows), NONE, dtype=np.int64) for _ in distances_T)
        return
    # All rows sorted by entity, then by time. The sort is stable, so the last of equal rows stays the last.
    order = np.lexsort((others.time_N, others.entity_N))
    known = np.unique(others.time_N)
    # One number for each (entity, time), ascending like the sorted rows: so one binary search finds entity and time.
    # It holds the rank of the time, since entity × time could overflow. The + 1 keeps a rank of -1 (before all known
    # times) apart from the last rank of the entity before.
    width = len(known) + 1
    place_M = others.entity_N[order] * width + np.searchsorted(known, others.time_N[order])
    for distance in distances_T:
        wanted_N = rows.time_N - distance
        rank_N = np.searchsorted(known, wanted_N, side="right") - 1
        at_N = np.searchsorted(place_M, rows.entity_N * width + rank_N, side="right") - 1
        # The search may have ended at another entity, or too far back.
        index_N = order[np.maximum(at_N, 0)]
        good = (at_N >= 0) & (rank_N >= 0) & (others.entity_N[index_N] == rows.entity_N)
        good &= others.time_N[index_N] > wanted_N - tolerance_us
        yield np.where(good, index_N, NONE)


def entity_times(tables: Sequence[pa.Table], *, entity: Sequence[str], event_time: str) -> list[EntityTimes]:
    """Entity and event time of the rows of each table; equal entities have equal numbers in all tables."""
    import numpy as np

    cuts = np.cumsum([table.num_rows for table in tables])[:-1]
    parts = np.split(_entities(tables, entity), cuts)
    return [
        EntityTimes(entity_N=part, time_N=times_us(table[event_time]))
        for part, table in zip(parts, tables, strict=True)
    ]


def times_us(column: Any) -> Integers:
    """Microseconds since 1970 of a column of timestamps or dates without nulls."""
    import pyarrow as pa

    plain = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    zone = getattr(plain.type, "tz", None)  # a date has none
    found: Integers = plain.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64()).to_numpy()
    return found


def time_us(entry: Any, event_time: str) -> int:
    """The time of a row in microseconds since 1970; a time without a zone is UTC, as everywhere.

    Raises ValueError if the row has no ISO time."""
    text = entry.get(event_time) if isinstance(entry, Mapping) else None
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"a past whose rows each hold an ISO time {event_time}") from None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _entities(tables: Sequence[pa.Table], entity: Sequence[str]) -> Integers:
    """A number for the entity of each row, for all tables one after the other."""
    import numpy as np
    import pyarrow as pa

    # Text is large in the lake and plain in a file.
    keys = pa.concat_tables([table.select(list(entity)) for table in tables], promote_options="permissive")
    numbers_N: Integers = np.zeros(sum(table.num_rows for table in tables), dtype=np.int64)
    for name in entity:
        places_N = keys[name].combine_chunks().dictionary_encode(null_encoding="encode").indices.to_numpy()
        # A pair (entity so far, value of this column) as one number, then renumbered from 0: otherwise the product of
        # many columns could overflow.
        pairs_N = numbers_N * (int(places_N.max(initial=0)) + 1) + places_N
        numbers_N = np.unique(pairs_N, return_inverse=True)[1].astype(np.int64)
    return numbers_N
