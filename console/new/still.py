"""Finds columns of a series that hold one number for an unusually long time, as a stuck sensor does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

FEWEST_VALUES = 20
"""A column of fewer different numbers moves in steps, and each of its steps lasts."""
FEWEST_ROWS = 24
"""A run of fewer rows is never unusual."""
USUAL = 0.9
"""The usual length: this share of the other rows lies in runs of equal numbers of at most that length."""
LONGER = 4
"""A run is unusual if it is at least so many times as long as the usual length."""
RESTING = 0.05
"""A number of at least this share of the other rows is one at which the column rests, however long.

In a column without negative numbers 0 is such a number, too: heating in summer."""


def standing_still(
    rows: pa.Table, columns: Sequence[str], *, key: Sequence[str], event_time: str, series: int
) -> Iterator[str]:
    """A sentence on each of these columns of numbers that stands still, with the longest time in which it does.

    `series` is the number of entities in the rows."""
    import numpy as np

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
    import numpy as np

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
