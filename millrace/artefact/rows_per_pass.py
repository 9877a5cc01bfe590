"""How many rows a graph may answer in one pass, so that an answer's bits do not depend on the rows beside it."""

from __future__ import annotations

from dataclasses import dataclass

MOST = 512
"""The most rows in one pass: measured best in rows per second of CPU, and small enough to stay in the cache."""


@dataclass(frozen=True, kw_only=True)
class RowsPerPass:
    """The range of rows in one pass. Raises ValueError unless 1 <= fewest <= most.

    An engine chooses its kernels by the number of rows, and two kernels may add numbers in different orders. So a
    family names a range of rows for which the engine uses one kernel."""

    fewest: int = 1
    """If there are fewer rows, the last one is repeated, and the answers to the copies are thrown away."""
    most: int = MOST
    """If there are more rows, they are answered in several passes."""

    def __post_init__(self) -> None:
        if not 1 <= self.fewest <= self.most:
            raise ValueError(f"expected 1 <= fewest <= most, got {self.fewest} and {self.most}")
