"""Intervals that respect that neighbours are alike: a bootstrap over whole blocks of rows.

Errors within a day are correlated (design effect 7 on elec2), so the bootstrap draws whole days, or whole entities
where rows have no order in time (Efron and Tibshirani 1993, chapter 13). Axes: N rows, B blocks, D draws.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from millrace.evaluation.evidence import FEWEST_BLOCKS, Estimate

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]
    Draws = npt.NDArray[np.float64]
    Times = npt.NDArray[np.datetime64]

DRAWS = 10_000
BLOCKS = 200
"""Of rows without a time: enough for the bound, and 50 rows or so stay together in 10,000."""
FEWEST_ENTITIES = 30
"""With fewer, blocks of successive rows stand for entities."""
TAILS = (0.025, 0.975)
FIGURE_DRAWS, FEWEST_FIGURE_DRAWS, MOST_DRAWN_ROWS = 400, 100, 4_000_000
"""Of a figure that is no mean and is computed anew on each draw's rows: fewer of many rows."""


def days(times_N: Times) -> npt.NDArray[np.intp]:
    """The block of each row, counted from 0: its day."""
    return np.unique(times_N.astype("datetime64[D]"), return_inverse=True)[1]


def successive(rows: int) -> npt.NDArray[np.intp]:
    """At most BLOCKS blocks, each of successive rows."""
    return np.arange(rows) * min(rows, BLOCKS) // rows


def entities(entity_N: Sequence[Hashable]) -> npt.NDArray[np.intp]:
    """At most BLOCKS blocks, each of whole entities; blocks of successive rows where entities are few."""
    place: dict[Hashable, int] = {}
    code_N = np.array([place.setdefault(entity, len(place)) for entity in entity_N], dtype=np.intp)
    if len(place) < FEWEST_ENTITIES:
        return successive(len(code_N))
    return code_N * min(len(place), BLOCKS) // len(place)


class Bootstrap:
    """Draws of blocks, the same for every figure, so differences are paired. The seed is fixed."""

    def __init__(self, block_N: npt.NDArray[np.intp]) -> None:
        self.block_N = block_N
        self.blocks = int(block_N.max()) + 1
        # How often each block is drawn is all that a draw says: a multinomial, and one product.
        self._drawn_DB = np.random.default_rng(0).multinomial(
            self.blocks, np.full(self.blocks, 1 / self.blocks), size=DRAWS
        )

    def ratios(self, sum_N: Floats, count_N: Floats) -> Draws:
        """Draws (D) of the sum over the count; NaN in a draw without any."""
        sums = self._drawn_DB @ np.bincount(self.block_N, weights=sum_N, minlength=self.blocks)
        counts = self._drawn_DB @ np.bincount(self.block_N, weights=count_N, minlength=self.blocks)
        found: Draws = np.divide(sums, counts, out=np.full(DRAWS, np.nan), where=counts > 0)
        return found

    def means(self, value_N: Floats) -> Draws:
        """Draws (D) of the mean."""
        return self.ratios(value_N, np.ones(len(value_N)))

    def mean(self, value_N: Floats, where_N: npt.NDArray[Any] | None = None) -> Estimate:
        """The mean of the values, of those only that a mask names; NaN without any."""
        if where_N is None:
            return self.interval(float(value_N.mean()), self.means(value_N))
        mask_N = where_N.astype(np.float64)
        value = float(value_N[where_N].mean()) if where_N.any() else np.nan
        return self.interval(value, self.ratios(np.where(where_N, value_N, 0.0), mask_N))

    def figures(self, compute: Callable[[npt.NDArray[np.intp]], Mapping[str, float | None]]) -> dict[str, Estimate]:
        """Each figure that `compute` gives for all rows (their places, N), with its interval: an AUC is no mean, and so
        computed on the rows of each draw. None, in a draw too, is a figure that those rows do not have."""
        rows = len(self.block_N)
        draws = int(np.clip(MOST_DRAWN_ROWS // rows, FEWEST_FIGURE_DRAWS, FIGURE_DRAWS))
        of_all = {name: value for name, value in compute(np.arange(rows)).items() if value is not None}
        if self.blocks < FEWEST_BLOCKS:
            draws = 0
        drawn = [compute(np.repeat(np.arange(rows), drawn_B[self.block_N])) for drawn_B in self._drawn_DB[:draws]]
        return {
            name: self.interval(value, np.array([one[name] for one in drawn], dtype=np.float64))
            for name, value in of_all.items()
        }

    def lower_bound(self, value_N: Floats, *, confidence: float) -> float:
        """The mean lies above it with this confidence (one-sided); NaN where there are too few blocks."""
        return float(np.quantile(self.means(value_N), 1 - confidence)) if self.blocks >= FEWEST_BLOCKS else np.nan

    def interval(self, value: float, draws_D: Draws) -> Estimate:
        """The figure with the percentiles of its draws."""
        if self.blocks < FEWEST_BLOCKS or np.isnan(draws_D).all():
            return Estimate(value=value, low=np.nan, high=np.nan)
        low, high = np.nanquantile(draws_D, TAILS)
        return Estimate(value=value, low=float(low), high=float(high))
