"""Finds numbers that lie apart: far from all others, below 0, or exactly 0."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from millrace.console.new.columns import Profile

USUAL = (0.01, 0.5, 0.99)
"""Quantiles: the lowest usual value, the middle, the highest usual value."""
SKEWED = 4
"""Values are skewed if the highest usual value lies more than 4 times as far from the middle as the lowest one."""
FAR = 3
"""Outlier: more than FAR × (high − low) outside the quantiles USUAL."""
MOST_FAR = 0.002
"""Most far numbers that a range leaves out, as a share of the cells; or FEW_FAR, if that is more.

More of them may be a tail of the values, and stay in the range."""
MOST_TOLD = 0.02
"""Most far numbers at one end that are reported, as a share of the cells; or FEW_FAR, if that is more."""
MOST_MARKED = 0.1
"""The same share if these cells are all one number, such as -999. Not for 0, which may be a usual amount."""
FEW_FAR = 2
LEAST_RATIO = 10
"""Beyond a tail of the values lies what is at least 10 times as far from the middle as the next value."""
LIKELY = 1e-3
"""And what a tail as heavy as that of the values before it reaches in 1 of 1,000 columns."""
FEWEST_IN_TAIL, MOST_IN_TAIL = 20, 100
"""Of so many largest values the tail is judged, a fifth of all on their side of the middle."""
FEWEST_EQUAL = 5
"""Fewest equal cells beyond a gap that are taken for a mark such as -999 for nothing."""
Floats = npt.NDArray[np.float64]
GAP = 0.15
"""Numbers below 0 stand apart if at least this share of the usual span above them is empty."""
NEAR, MORE = 4, 10
"""They also stand apart if 4 times as many rows, and 10 more, lie as near to 0 above it.

A tail that goes on below 0 has about twice as many rows there."""
ZEROS = 0.005
"""Zeros are reported from this share of the cells on, if they lie apart from all other values."""


def far_values(observed: Profile) -> list[Any]:
    """The numbers that lie far from all others, ascending, if they are so few that they may well be mistakes."""
    found = all_far_values(observed)
    return found if len(found) <= max(FEW_FAR, MOST_FAR * (len(observed.cells) - observed.cells.null_count)) else []


def all_far_values(observed: Profile) -> list[Any]:
    """The numbers that lie far from all others, ascending. A gap lies between them and the others.

    Empty if one end has more than MOST_TOLD of the cells, which is a tail; MOST_MARKED, if they are all one number.
    Skewed values, such as amounts of money, are compared by their logarithms."""

    if not observed.is_number or observed.distinct < 10:
        return []
    known = observed.cells.drop_null()
    exact = np.sort(np.asarray(known.to_numpy(zero_copy_only=False), dtype=np.float64))
    exact = exact[np.isfinite(exact)]
    if len(exact) < 10:
        return []
    ratios = _beyond_the_tail(exact), _beyond_the_tail(-exact[::-1])
    low, middle, high = np.quantile(_without_rest(_without_marks(exact)), USUAL)
    if low > 0 and high - middle > SKEWED * (middle - low):
        # A logarithm puts 0 far from the smallest amount, however near that comes to it: so 0 counts as that amount.
        # Negative numbers have no logarithm: all below a thousandth of the lowest usual value count as that.
        exact = np.log(np.maximum(np.where(exact == 0, exact[exact > 0][0], exact), low / 1e3))
        low, middle, high = np.log([low, middle, high])
    span = high - low
    if not math.isfinite(span):
        return []
    # Where nearly all cells are one number there is no span, and the tail alone is judged.
    above = int((exact > high + FAR * span).sum()) if span else 0
    below = int((exact < low - FAR * span).sum()) if span else 0
    # `exact` ascends: exact[-above] is the smallest far number above. Without a gap before it, these are a tail.
    if above and exact[-above] - exact[-above - 1] < span:
        above = 0
    if below and exact[below] - exact[below - 1] < span:
        below = 0
    above = max(above, ratios[0], _equal_at_the_end(exact, span) if span else 0)
    # Negated and reversed, the smallest number becomes the largest and the order still ascends.
    below = max(below, ratios[1], _equal_at_the_end(-exact[::-1], span) if span else 0)
    if not above and not below:
        return []
    # The cells as they are in the file: doubles are not exact for large whole numbers.
    ordered = known.filter(pc.is_finite(known)).sort()
    ends = ordered[:below].to_pylist(), ordered[len(ordered) - above :].to_pylist()
    for far in ends:
        if len(far) > max(FEW_FAR, (MOST_MARKED if len(set(far)) == 1 and far[0] != 0 else MOST_TOLD) * len(ordered)):
            return []
    return [*ends[0], *ends[1]]


def _beyond_the_tail(ascending: npt.NDArray[np.float64]) -> int:
    """How many of the largest numbers lie beyond a gap that the tail before it hardly explains.

    For example one 9,831 where the next largest is 55, however many of the others are 0. In a tail that falls as a
    power a, k times the logarithm of the ratio of the k-th largest to the next is exponential with the mean 1 / a
    (Rényi), whatever k; so the mean over the tail tells how likely the gap is. Hill, A simple general approach to
    inference about the tail of a distribution, Annals of Statistics 3 (1975)."""
    above = ascending - np.median(ascending)
    largest = above[above > 0][::-1]
    for many in range(min(len(largest) - FEWEST_IN_TAIL, max(FEW_FAR, int(MOST_FAR * len(ascending)))), 0, -1):
        tail = largest[many : many + max(FEWEST_IN_TAIL, min(MOST_IN_TAIL, len(largest) // 5))]
        mean = float((np.arange(many + 1, many + len(tail)) * np.log(tail[:-1] / tail[1:])).mean())
        gap = math.log(largest[many - 1] / largest[many])
        if gap > math.log(LEAST_RATIO) and many * gap > -math.log(LIKELY) * mean:
            return many
    return 0


def _without_marks(ascending: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The numbers without the cells that equal the smallest or the largest number, if these cells may be marks.

    Otherwise a hundred times -999 would be the lowest quantile of the usual values."""

    # In ascending order: how many cells are the smallest number, and where the largest one begins.
    first = int(np.searchsorted(ascending, ascending[0], side="right"))
    last = int(np.searchsorted(ascending, ascending[-1]))
    begin = first if FEWEST_EQUAL <= first <= MOST_MARKED * len(ascending) else 0
    end = last if FEWEST_EQUAL <= len(ascending) - last <= MOST_MARKED * len(ascending) else len(ascending)
    return ascending[begin:end]


def _without_rest(ascending: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The numbers without the one that most cells are, such as 0 for dry hours: the others say what is usual."""
    others = ascending[ascending != ascending[len(ascending) // 2]]
    return others if FEWEST_IN_TAIL <= len(others) < len(ascending) / 2 else ascending


def _equal_at_the_end(ascending: npt.NDArray[np.float64], span: float) -> int:
    """How many cells are the largest number, if a gap of more than `span` lies before it; else 0.

    For example 99999999 among amounts is a mark."""

    first = int(np.searchsorted(ascending, ascending[-1]))
    count = len(ascending) - first
    return count if first and count >= FEWEST_EQUAL and ascending[-1] - ascending[first - 1] > span else 0


def usual_bounds(observed: Profile) -> tuple[Any, Any]:
    """The smallest and the largest number, without the numbers that lie far from all others."""
    far = far_values(observed)
    if not far:
        return finite_bounds(observed.cells)
    known = observed.cells.drop_null()
    return finite_bounds(known.filter(pc.invert(pc.is_in(known, pa.array(far, known.type)))))


def finite_bounds(cells: pa.Array) -> tuple[Any, Any]:

    known = cells.drop_null()
    if pa.types.is_floating(known.type):
        finite = known.filter(pc.is_finite(known))
        known = finite if len(finite) else pa.array([0.0])
    bounds = pc.min_max(known).as_py()
    return bounds["min"], bounds["max"]


def few_below_zero(column: Profile) -> list[Any]:
    """The cells below 0, ascending, if they are few and stand apart from the others.

    Empty if `all_far_values` reports them already."""

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

    # `mirrored` is how many numbers from 0 on are nearer to 0 than the median of those below.
    others, reach = known[known >= 0], float(np.median(-below))
    mirrored = int((others < reach).sum())  # of whole numbers -2 and -1 beside 0 and 1
    if below[0] == below[-1] and FEWEST_EQUAL <= len(below) <= MOST_MARKED * len(known) and mirrored < len(below):
        return True
    if len(below) > MOST_TOLD * len(known):
        return False
    low, middle, high = np.quantile(others, USUAL)
    if (low > 0 and high - middle > SKEWED * (middle - low)) or others.min() - below[-1] >= GAP * (high - low) > 0:
        return True
    return mirrored >= NEAR * int((below >= -reach).sum()) + MORE


def odd_zeros(column: Profile) -> str:
    """A question if 0 is frequent and lies apart from other values, so that it may mean missing; else ""."""

    if not column.is_number or column.distinct < 20:
        return ""
    known = np.asarray(column.cells.drop_null().to_numpy(zero_copy_only=False), dtype=np.float64)
    zeros, others = int((known == 0).sum()), known[(known != 0) & np.isfinite(known)]
    if not ZEROS * len(known) <= zeros <= len(others):
        return ""
    low, middle = np.quantile(np.abs(others), [0.01, 0.5])
    values, counts = np.unique(others, return_counts=True)
    # A count begins at 1, one step from 0: there 0 is a value like any other. So 0 must lie far from nearly all other
    # values, by the middle value and by the usual step between two values, and be the most frequent number by far.
    if low < 0.1 * middle or low < 5 * np.median(np.diff(values)) or zeros < 3 * counts.max():
        return ""
    return f"{zeros:,} cells are exactly 0 and hardly any lies near it: does 0 mean missing?"
