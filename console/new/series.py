"""Finds out whether the rows are series: each entity has one row at a time, at equal distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

REGULAR = 0.9
"""Least share of the distances between neighbours that must be the usual distance."""
HOUR_S = 3600
STEPS = 24
"""Steps of a history if a day has fewer steps, or more than MOST_STEPS."""
MOST_STEPS = 96
"""A history of a whole day has at most so many steps: one for each quarter of an hour."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """Rows of entities at equal distances."""

    every_hours: float
    """The distance of two rows of an entity, in hours."""
    entities: int
    """How many entities there are."""
    missing: int = 0
    """How many steps have no row, between the first and the last row of each entity."""
    longest: int = 0
    """How many of them are in the longest stretch."""

    @property
    def hours(self) -> float:
        """How far back a history reaches: one day if that is STEPS to MOST_STEPS whole steps, else STEPS steps."""
        a_day = 24 / self.every_hours
        steps = int(a_day) if a_day.is_integer() and STEPS <= a_day <= MOST_STEPS else STEPS
        return steps * self.every_hours

    @property
    def step(self) -> str:
        """The distance in words."""
        hours = self.every_hours
        return f"{hours * 60:g} minutes" if hours < 1 else f"{hours:g} h" if hours < 48 else f"{hours / 24:g} days"


def without_rows(series: Series, *, refused: int) -> list[str]:
    """A sentence on the steps that have no row; empty if each has one.

    `refused` is how many rows the contract refused. Such a row does not count as the row of its step."""
    if not series.missing:
        return []
    of = " of an entity" if series.entities > 1 else ""
    row = "row that the contract takes" if refused else "row"
    return [f"{series.missing:,} steps of {series.step}{of} have no {row}, the longest stretch {series.longest:,}"]


def find_series(rows: pa.Table, *, key: Sequence[str], event_time: str) -> Series | None:
    """The series that the rows are; None if they are no series."""
    import numpy as np

    from millrace.features.as_of import entity_times

    if event_time not in key:
        return None
    [found] = entity_times([rows], entity=[name for name in key if name != event_time], event_time=event_time)
    # Sorted by entity, then by time. A difference counts only between two rows of the same entity.
    order = np.lexsort((found.time_N, found.entity_N))
    same = np.diff(found.entity_N[order]) == 0
    apart_s = np.diff(found.time_N[order])[same] // 1_000_000
    entities = int(found.entity_N.max(initial=0)) + 1
    if len(apart_s) < rows.num_rows // 2:
        return None
    distances, counts = np.unique(apart_s, return_counts=True)
    usual = int(distances[counts.argmax()])
    if usual <= 0 or counts.max() < REGULAR * len(apart_s):
        return None
    # A distance of three usual ones is a stretch of two steps without a row.
    missing = apart_s // usual - 1
    missing = missing[missing > 0]
    return Series(
        every_hours=usual / HOUR_S,
        entities=entities,
        missing=int(missing.sum()),
        longest=int(missing.max(initial=0)),
    )
