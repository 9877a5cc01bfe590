"""Whether the rows are series: of each entity one row at a time, at equal distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

REGULAR = 0.9
"""Least share of the distances between neighbours that are the usual one."""
HOUR_S = 3600
STEPS = 24
"""Of a history that reaches back by less than a day."""
MOST_STEPS = 96


@dataclass(frozen=True, kw_only=True)
class Series:
    """Rows of entities at equal distances."""

    every_hours: float
    entities: int
    missing: int = 0
    """Steps between the first and the last row of each entity that have no row,"""
    longest: int = 0
    """and those of the longest stretch."""

    @property
    def hours(self) -> float:
        """How far back a history reaches: a day of steps of an hour or less, else STEPS steps."""
        a_day = 24 / self.every_hours
        steps = int(a_day) if a_day.is_integer() and STEPS <= a_day <= MOST_STEPS else STEPS
        return steps * self.every_hours

    @property
    def step(self) -> str:
        """The distance in words."""
        hours = self.every_hours
        return f"{hours * 60:g} minutes" if hours < 1 else f"{hours:g} h" if hours < 48 else f"{hours / 24:g} days"


def without_rows(series: Series, *, refused: int) -> list[str]:
    """A sentence where steps have no row; rows that the contract refused are none."""
    if not series.missing:
        return []
    of = " of an entity" if series.entities > 1 else ""
    row = "row that the contract takes" if refused else "row"
    return [f"{series.missing:,} steps of {series.step}{of} have no {row}, the longest stretch {series.longest:,}"]


def find_series(rows: pa.Table, *, key: Sequence[str], event_time: str) -> Series | None:
    """The series that the rows are; None where they are none."""
    import numpy as np

    from millrace.features.as_of import entity_times

    if event_time not in key:
        return None
    [found] = entity_times([rows], entity=[name for name in key if name != event_time], event_time=event_time)
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
    missing = apart_s // usual - 1
    missing = missing[missing > 0]
    return Series(
        every_hours=usual / HOUR_S,
        entities=entities,
        missing=int(missing.sum()),
        longest=int(missing.max(initial=0)),
    )
