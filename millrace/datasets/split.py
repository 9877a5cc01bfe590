"""The split of a snapshot by event time: training, then validation days, then test days, never shuffled."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from millrace.errors import SnapshotError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Times = npt.NDArray[np.datetime64]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Three slices of rows that stand in the order of event time, and the times where they begin and end."""

    train: slice
    validation: slice
    test: slice
    validation_from: np.datetime64
    test_from: np.datetime64
    end: np.datetime64
    """Exclusive: midnight after the last day."""


def split(times_N: Times, *, validation_days: int, test_days: int) -> Split:
    """The last `test_days` days, the `validation_days` days before them, and what lies before.

    A day is a calendar day of event time. Raises SnapshotError when one of the three is without rows."""
    import numpy as np

    end = times_N[-1].astype("datetime64[D]") + np.timedelta64(1, "D")
    return split_at(times_N, end, validation_days=validation_days, test_days=test_days)


def split_at(times_N: Times, end: np.datetime64, *, validation_days: int, test_days: int) -> Split:
    """The same for the rows before `end`, a midnight; later rows are in none of the three."""
    import numpy as np

    test_from = end - np.timedelta64(test_days, "D")
    validation_from = test_from - np.timedelta64(validation_days, "D")
    first, second, last = (int(at) for at in np.searchsorted(times_N, [validation_from, test_from, end]))
    for name, rows in (("training", first), ("validation", second - first), ("test", last - second)):
        if rows == 0:
            raise SnapshotError(
                f"expected rows to train on before {validation_from}, to validate on before {test_from} and to "
                f"test on before {end}, got no {name} rows in {times_N[0]} to {times_N[-1]}",
            )
    return Split(
        train=slice(0, first),
        validation=slice(first, second),
        test=slice(second, last),
        validation_from=validation_from,
        test_from=test_from,
        end=end,
    )


@dataclass(frozen=True, kw_only=True)
class RowWindow:
    """The rows of a stretch of event time."""

    start: np.datetime64
    end: np.datetime64
    """Exclusive."""
    rows: slice


def windows(times_N: Times, *, start: np.datetime64, end: np.datetime64, days: int) -> list[RowWindow]:
    """The whole windows of `days` days in [start, end), counted back from `end`; those without rows are left out."""
    import numpy as np

    count = int((end - start) // np.timedelta64(days, "D"))
    edges = [end - np.timedelta64(days * back, "D") for back in range(count, -1, -1)]
    found = []
    for first, last in pairwise(edges):
        a, b = (int(at) for at in np.searchsorted(times_N, [first, last]))
        if b > a:
            found.append(RowWindow(start=first, end=last, rows=slice(a, b)))
    return found
