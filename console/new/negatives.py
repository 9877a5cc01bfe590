"""Finds numbers below 0 in a column whose other numbers are not: mistakes, or words for something missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.new.rules import FEWEST_EQUAL, MOST_MARKED, MOST_TOLD, SKEWED, USUAL, all_far_values

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from console.new.observed import Observed

    Floats = npt.NDArray[np.float64]

GAP = 0.15
"""Numbers below 0 stand apart if at least this share of the usual span above them is empty."""
NEAR, MORE = 4, 10
"""They also stand apart if 4 times as many rows, and 10 more, lie as near to 0 above it.

A tail that goes on below 0 has about twice as many rows there."""


def few_below_zero(column: Observed) -> list[Any]:
    """The cells below 0, ascending, if they are few and stand apart from the others.

    Empty if `all_far_values` reports them already."""
    import numpy as np

    if not column.is_number:
        return []
    cells = column.cells.drop_null()
    known = np.asarray(cells.to_numpy(zero_copy_only=False), dtype=np.float64)
    known = known[np.isfinite(known)]
    below = np.sort(known[known < 0])
    if not len(below) or not _stand_apart(below, known) or any(value < 0 for value in all_far_values(column)):
        return []
    return sorted(value for value in cells.to_pylist() if -np.inf < value < 0)


def _stand_apart(below: Floats, known: Floats) -> bool:
    """Whether the numbers `below` 0 are no tail of the others, by one of four signs:

    - they are all one number, and fewer cells from 0 on are as near to 0
    - the others are skewed, as amounts of money are
    - a gap lies between them and the others (GAP)
    - far more numbers lie as near to 0 above it (NEAR, MORE)"""
    import numpy as np

    # `mirrored` is how many numbers from 0 on are nearer to 0 than the median of those below.
    others, reach = known[known >= 0], float(np.median(-below))
    mirrored = int((others < reach).sum())  # of whole numbers -2 and -1 beside 0 and 1
    if below[0] == below[-1] and FEWEST_EQUAL <= len(below) <= MOST_MARKED * len(known) and mirrored < len(below):
        return True
    if len(below) > MOST_TOLD * len(known):
        return False
    low, middle, high = np.quantile(others, USUAL)
    is_skewed = low > 0 and high - middle > SKEWED * (middle - low)
    if is_skewed or others.min() - below[-1] >= GAP * (high - low) > 0:
        return True
    return mirrored >= NEAR * int((below >= -reach).sum()) + MORE
