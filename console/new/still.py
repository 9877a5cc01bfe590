"""Columns of a series that hold one number for an unusually long time, as a stuck sensor does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

FEWEST_VALUES = 20
"""A column of fewer different numbers is one of steps, which last."""
FEWEST_ROWS = 24
USUAL = 0.9
"""Of the other rows, so many lie in runs of equal numbers of the usual length or shorter ones,"""
LONGER = 4
"""and a run is unusual from so many times this length on."""
RESTING = 0.05
"""Share of the other rows with the same number from which on the column rests there; of no negative numbers 0 is rest,
too, as heating in summer."""


def standing_still(
    rows: pa.Table, columns: Sequence[str], *, key: Sequence[str], event_time: str, series: int
) -> Iterator[str]:
    """A sentence on each of these columns of numbers that stands still, with its longest such time.

    `series` is how many entities the rows are of."""
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
    """Start and length of each run of equal numbers that is unusually long; no number is NaN."""
    import numpy as np

    if not len(values_N):
        return []
    changes_N = (values_N[1:] != values_N[:-1]) | (entity_N[1:] != entity_N[:-1])
    starts_R = np.concatenate([[0], np.flatnonzero(changes_N) + 1])
    lengths_R = np.diff([*starts_R, len(values_N)])
    if len(np.unique(values_N[starts_R])) < FEWEST_VALUES:
        return []
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
