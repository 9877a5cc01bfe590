"""How many rows a graph may answer at once, so that an answer is the same bits in whatever company its row comes."""

from __future__ import annotations

from dataclasses import dataclass

MOST = 512
"""Measured best for rows per second of CPU; small enough to stay in the cache."""


@dataclass(frozen=True, kw_only=True)
class RowsPerPass:
    """An engine chooses its kernels by the number of rows: where two of them add in another order, a family names the
    numbers that share one. Raises ValueError where there is none."""

    fewest: int = 1
    """Of fewer rows the last is repeated; the copies' answers are thrown away."""
    most: int = MOST

    def __post_init__(self) -> None:
        if not 1 <= self.fewest <= self.most:
            raise ValueError(f"expected 1 <= fewest <= most, got {self.fewest} and {self.most}")
