"""Confidence intervals of figures by a bootstrap that draws whole blocks of rows, since neighbouring rows are alike.

Errors within a day are correlated (design effect 7 on elec2): an interval that takes rows for independent is too
narrow. So the bootstrap draws whole days. If rows have no order in time, it draws whole entities (Efron and Tibshirani
1993, chapter 13). Axes: N rows, B blocks, D draws.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from millrace.evaluation.evidence import FEWEST_BLOCKS, Estimate

Floats = npt.NDArray[np.floating]
Draws = npt.NDArray[np.float64]
Times = npt.NDArray[np.datetime64]

DRAWS = 10_000
"""Draws for a mean or a ratio: each costs one row of a matrix product."""
BLOCKS = 200
"""The most blocks of rows without a time: enough for a bound, and 10,000 rows still make blocks of 50 rows."""
FEWEST_ENTITIES = 30
"""With fewer entities, blocks of successive rows stand for entities."""
TAILS = (0.025, 0.975)
"""The quantiles of the draws that are the ends of a 95 % interval."""
FIGURE_DRAWS, FEWEST_FIGURE_DRAWS, MOST_DRAWN_ROWS = 400, 100, 4_000_000
"""Draws for a figure that is no mean, and so is computed anew on the rows of each draw.

There are 400 draws, but no more than make 4 million rows in all, and 100 at least: 20,000 rows are drawn 200 times."""


def days(times_N: Times) -> npt.NDArray[np.intp]:
    """The block of each row (N), counted from 0: rows of the same day are one block."""
    return np.unique(times_N.astype("datetime64[D]"), return_inverse=True)[1]


def successive(rows: int) -> npt.NDArray[np.intp]:
    """The block of each row (N), counted from 0: at most BLOCKS blocks of successive rows."""
    # 10,000 rows: 0, 0, … (50 times), 1, 1, …, 199.
    return np.arange(rows) * min(rows, BLOCKS) // rows


def entities(entity_N: Sequence[Hashable], *, fewest: int = FEWEST_ENTITIES) -> npt.NDArray[np.intp]:
    """The block of each row (N), counted from 0: at most BLOCKS blocks, each of whole entities.

    With fewer than `fewest` entities they are blocks of successive rows."""
    # A new entity gets the next number: entities are numbered in the order of their first rows.
    place: dict[Hashable, int] = {}
    code_N = np.array([place.setdefault(entity, len(place)) for entity in entity_N], dtype=np.intp)
    if len(place) < fewest:
        return successive(len(code_N))
    return code_N * min(len(place), BLOCKS) // len(place)


@lru_cache(maxsize=2)
def _drawn(blocks: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(0).multinomial(blocks, np.full(blocks, 1 / blocks), size=DRAWS)


class Bootstrap:
    """Draws of blocks with a fixed seed.

    Every figure uses the same draws, so the difference of two models is paired: draw by draw on the same rows."""

    def __init__(self, block_N: npt.NDArray[np.intp]) -> None:
        self.block_N = block_N
        self.blocks = int(block_N.max()) + 1
        # (D, B): how often each draw has each block. A mean needs no more than these counts and the sum of each block:
        # all draws are one matrix product, and no row is copied.
        self._drawn_DB = _drawn(self.blocks)

    def ratios(self, sum_N: Floats, count_N: Floats) -> Draws:
        """The sum of `sum_N` over the sum of `count_N` in each draw (D); NaN for a draw whose count is 0."""
        sums = self._drawn_DB @ np.bincount(self.block_N, weights=sum_N, minlength=self.blocks)
        counts = self._drawn_DB @ np.bincount(self.block_N, weights=count_N, minlength=self.blocks)
        found: Draws = np.divide(sums, counts, out=np.full(DRAWS, np.nan), where=counts > 0)
        return found

    def means(self, value_N: Floats) -> Draws:
        """The mean of the values in each draw (D)."""
        return self.ratios(value_N, np.ones(len(value_N)))

    def mean(self, value_N: Floats, where_N: npt.NDArray[Any] | None = None) -> Estimate:
        """The mean of the values with its interval; with a mask `where_N`, the mean of the values that it selects.

        The mean is NaN if the mask selects no value."""
        if where_N is None:
            return self.interval(float(value_N.mean()), self.means(value_N))
        # Rows outside of the mask stay in their blocks as 0 of 0, so that a draw keeps whole blocks.
        mask_N = where_N.astype(np.float64)
        value = float(value_N[where_N].mean()) if where_N.any() else np.nan
        return self.interval(value, self.ratios(np.where(where_N, value_N, 0.0), mask_N))

    def figures(self, compute: Callable[[npt.NDArray[np.intp]], Mapping[str, float | None]]) -> dict[str, Estimate]:
        """Each figure that `compute` gives for all rows, with its interval.

        `compute` takes the indices of rows and returns figures by name. It is called once for all rows, then for the
        rows of each draw: a figure such as an AUC is no mean, so block sums are not enough. A figure that is None for
        all rows is left out. In a draw None means that its rows do not have the figure; the draw is then ignored."""
        rows = len(self.block_N)
        draws = int(np.clip(MOST_DRAWN_ROWS // rows, FEWEST_FIGURE_DRAWS, FIGURE_DRAWS))
        of_all = {name: value for name, value in compute(np.arange(rows)).items() if value is not None}
        if self.blocks < FEWEST_BLOCKS:
            draws = 0
        # Each row as often as its block was drawn.
        drawn = [compute(np.repeat(np.arange(rows), drawn_B[self.block_N])) for drawn_B in self._drawn_DB[:draws]]
        # As float64 a None becomes NaN, which `interval` passes over.
        return {
            name: self.interval(value, np.array([one[name] for one in drawn], dtype=np.float64))
            for name, value in of_all.items()
        }

    def lower_bound(self, sum_N: Floats, count_N: Floats | None = None, *, confidence: float) -> float:
        """The bound above which the mean lies with this confidence (one-sided); NaN with fewer than FEWEST_BLOCKS.

        Each value is that of a row, or the sum of `count_N` rows."""
        draws_D = self.ratios(sum_N, np.ones(len(sum_N)) if count_N is None else count_N)
        return float(np.quantile(draws_D, 1 - confidence)) if self.blocks >= FEWEST_BLOCKS else np.nan

    def interval(self, value: float, draws_D: Draws) -> Estimate:
        """The figure with the percentiles TAILS of its draws as its interval.

        The ends are NaN with fewer than FEWEST_BLOCKS blocks, or if every draw is NaN."""
        if self.blocks < FEWEST_BLOCKS or np.isnan(draws_D).all():
            return Estimate(value=value, low=np.nan, high=np.nan)
        low, high = np.nanquantile(draws_D, TAILS)
        return Estimate(value=value, low=float(low), high=float(high))
