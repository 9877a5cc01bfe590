"""Challenger against champion on the same rows, with a bound that respects that neighbours are alike.

Errors within a day are correlated (design effect 7 on elec2), so the bootstrap draws whole days.
Axes: N rows, B blocks (days).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Errors = npt.NDArray[np.float64]
    Times = npt.NDArray[np.datetime64]

DRAWS = 10_000
BLOCKS = 200
"""Of rows without a time: enough for the bound, and 50 rows or so stay together in 10,000."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How much better the challenger is, in the unit of the errors."""

    rows: int
    champion: float
    """Mean error."""
    challenger: float
    difference: float
    """Champion's error minus challenger's."""
    lower_bound: float
    """The difference is above it with the requested confidence (one-sided)."""


def compare(champion_N: Errors, challenger_N: Errors, times_N: Times | None, *, confidence: float) -> Comparison:
    """Both models' errors compared, row by row.

    The bound is the basic percentile bootstrap over days (Efron and Tibshirani 1993, chapter 13), over BLOCKS blocks
    of successive rows where they have no time. The seed is fixed: equal rows, equal bound."""
    improvement_N = champion_N - challenger_N
    block_N = _blocks(len(improvement_N), times_N)
    rows_B, sum_B = np.bincount(block_N), np.bincount(block_N, weights=improvement_N)
    blocks = len(rows_B)
    # How often each block is drawn is all that a draw says: a multinomial, and one product.
    drawn = np.random.default_rng(0).multinomial(blocks, np.full(blocks, 1 / blocks), size=DRAWS)
    return Comparison(
        rows=len(improvement_N),
        champion=float(champion_N.mean()),
        challenger=float(challenger_N.mean()),
        difference=float(improvement_N.mean()),
        lower_bound=float(np.quantile((drawn @ sum_B) / (drawn @ rows_B), 1 - confidence)),
    )


def _blocks(rows: int, times_N: Times | None) -> npt.NDArray[np.intp]:
    """The block of each row, counted from 0."""
    if times_N is None:
        return np.arange(rows) * min(rows, BLOCKS) // rows
    return np.unique(times_N.astype("datetime64[D]"), return_inverse=True)[1]
