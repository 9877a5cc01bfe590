"""Challenger against champion on the same rows, with a bound that respects that neighbours are alike.

Axes: N rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from millrace.evaluation.bootstrap import Bootstrap, days, successive

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.evaluation.bootstrap import Times

    Errors = npt.NDArray[np.float64]


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
    """The difference is above it with the requested confidence (one-sided); NaN for rows of too few days."""


def compare(champion_N: Errors, challenger_N: Errors, times_N: Times | None, *, confidence: float) -> Comparison:
    """Both models' errors compared, row by row.

    The bound is the basic percentile bootstrap over days, over blocks of successive rows where they have no time; fewer
    than five of them have none. The seed is fixed: equal rows, equal bound."""
    improvement_N = champion_N - challenger_N
    bootstrap = Bootstrap(successive(len(improvement_N)) if times_N is None else days(times_N))
    return Comparison(
        rows=len(improvement_N),
        champion=float(champion_N.mean()),
        challenger=float(challenger_N.mean()),
        difference=float(improvement_N.mean()),
        lower_bound=bootstrap.lower_bound(improvement_N, confidence=confidence),
    )
