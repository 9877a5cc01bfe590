"""Recognises local times of a clock with daylight saving: an hour comes twice in autumn, and none comes in spring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.new.series import REGULAR

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from console.new.observed import Observed

    Times = npt.NDArray[np.datetime64]
    Places = npt.NDArray[np.int64]

MONTHS = (3, 4, 9, 10, 11)
"""Months in which clocks are changed, north and south of the equator."""
HOURS = (0, 1, 2, 3)
"""Hours of a Sunday at which clocks are changed."""
SUNDAY = 3
"""Days since 1970, modulo 7, on a Sunday: 1 January 1970 was a Thursday."""
UNEVEN = 0.25
"""Share by which the rows of an hour may differ from the rows of the hour before, in REGULAR of all hours."""
TWICE = 1.5
"""An hour came twice if it has so many times the rows of either hour beside it."""
SHOWN = 4


def looks_like_local_time(column: Observed) -> str:
    """A remark on times that repeat an hour or leave one out just where clocks are changed; "" for other times."""
    import numpy as np

    if column.kind != "timestamp":
        return ""
    known_N = np.flatnonzero(~np.asarray(column.cells.is_null()))
    hour_N = _hours(column.cells)
    first, rows_H = _per_hour(hour_N)
    if not _is_even(rows_H):
        return ""
    # Three rows: the number of rows in each hour, in the one before and in the one after. The first and the last hour
    # have no neighbour on one side and are left out.
    near_H = np.stack([rows_H[1:-1], rows_H[:-2], rows_H[2:]])
    twice_C = _changes(first, near_H[0] >= TWICE * near_H[1:].max(axis=0), near_H)
    none_C = _changes(first, near_H[0] == 0, near_H)
    said = [
        *(f"the hour {_moment(hour)} comes twice ({_places(known_N[hour_N == hour])})" for hour in twice_C[:SHOWN]),
        *(f"the hour {_moment(hour)} does not come" for hour in none_C[:SHOWN]),
    ]
    if not said:
        return ""
    return (
        f"looks like local time with daylight saving: {', '.join(said)}; it is taken as it is written, as if all hours "
        "were of one clock; with UTC or the offset in the text (2024-10-27T02:00:00+02:00) each time comes once"
    )


def _hours(cells: pa.Array) -> Places:
    """The hour since 1970 of each known time."""
    import pyarrow as pa

    times: Times = cells.drop_null().cast(pa.timestamp("us")).to_numpy()
    return times.astype("datetime64[h]").astype("int64")


def _per_hour(hour_N: Places) -> tuple[int, Places]:
    """The first hour since 1970, and the number of rows in each hour from it to the last.

    Empty if more hours are without rows than in a series."""
    import numpy as np

    hours_U, rows_U = np.unique(hour_N, return_counts=True)
    if not len(hours_U) or hours_U[-1] - hours_U[0] >= len(hours_U) / REGULAR + 2:
        return 0, np.zeros(0, np.int64)  # more gaps than a series has
    rows_H = np.zeros(hours_U[-1] - hours_U[0] + 1, np.int64)
    rows_H[hours_U - hours_U[0]] = rows_U
    return int(hours_U[0]), rows_H


def _is_even(rows_H: Places) -> bool:
    """Whether nearly every hour has about as many rows as the hour before it. Two days of hours are needed."""
    import numpy as np

    if len(rows_H) < 48:
        return False
    # Relative to the hour before; one without rows counts as one row.
    apart_H = np.abs(np.diff(rows_H)) / np.maximum(rows_H[:-1], 1)
    return bool(np.mean(apart_H <= UNEVEN) >= REGULAR)


def _changes(first: int, odd_H: npt.NDArray[np.bool_], near_H: Places) -> Places:
    """The odd hours, since 1970, at which a clock may have been changed.

    Empty if as many odd hours lie elsewhere. `odd_H` and `near_H` begin with the second hour, since the first has none
    before it: `first` is the number of that first hour, since 1970. `near_H` has three rows: how many rows each hour
    has, the one before and the one after."""
    import numpy as np

    # Both neighbours have rows: an hour at the edge of a gap is no change of the clock.
    hour_C = np.flatnonzero(odd_H & (near_H[1:].min(axis=0) > 0)) + first + 1
    months_C = hour_C.astype("datetime64[h]").astype("datetime64[M]").astype(int) % 12 + 1
    is_change_C = (hour_C // 24 % 7 == SUNDAY) & np.isin(hour_C % 24, HOURS) & np.isin(months_C, MONTHS)
    return hour_C[is_change_C] if 2 * is_change_C.sum() > len(hour_C) else hour_C[:0]


def _moment(hour: np.int64) -> str:
    import numpy as np

    return str(np.datetime64(int(hour), "h").astype("datetime64[m]")).replace("T", " ")


def _places(place_N: Places) -> str:
    """The rows in words, as in `data rows 1,395, 1,396`. They are counted from 1, without the line of names."""
    numbers = [f"{int(place) + 1:,}" for place in place_N[:SHOWN]]
    more = f" and {len(place_N) - SHOWN:,} more" if len(place_N) > SHOWN else ""
    return f"data rows {', '.join(numbers)}{more}"
