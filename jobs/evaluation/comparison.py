"""Challenger against champion on the same rows, with a bound that respects that neighbours are alike.

Errors within a day are correlated (design effect 7 on elec2), so the bootstrap draws whole days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.evaluation.metrics import Bools

DRAWS = 10_000


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How much better the challenger is, in share of right answers."""

    rows: int
    champion: float
    challenger: float
    difference: float
    """Challenger minus champion."""
    lower_bound: float
    """The difference is above it with the confidence asked for (one-sided)."""


def compare(
    champion_N: Bools, challenger_N: Bools, times_N: npt.NDArray[np.datetime64], *, confidence: float
) -> Comparison:
    """Both models' right answers compared.

    The bound is the basic percentile bootstrap over days (Efron and Tibshirani 1993, chapter 13), seed fixed: equal
    rows, equal bound."""
    difference_N = challenger_N.astype(np.float64) - champion_N
    _, day_N = np.unique(times_N.astype("datetime64[D]"), return_inverse=True)
    rows_D, sum_D = np.bincount(day_N), np.bincount(day_N, weights=difference_N)
    days = len(rows_D)
    # How often each day is drawn is all that a draw says: a multinomial, and one product.
    drawn = np.random.default_rng(0).multinomial(days, np.full(days, 1 / days), size=DRAWS)
    return Comparison(
        rows=len(times_N),
        champion=float(champion_N.mean()),
        challenger=float(challenger_N.mean()),
        difference=float(difference_N.mean()),
        lower_bound=float(np.quantile((drawn @ sum_D) / (drawn @ rows_D), 1 - confidence)),
    )
