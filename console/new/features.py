"""Decides which columns become features: as they are, as a calendar or in a history. Other columns have a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from console.new.observed import LeftOut, Observed
from console.new.parts import says_part
from console.new.rules import far_times, is_free_text, why_no_feature
from console.new.series import Series

if TYPE_CHECKING:
    from millrace.contract.schema import Table

DAYS_OF_WEEKDAYS = 14
"""Times of so many days or more have the weekday as a feature."""
DAYS_OF_MONTHS = 730
"""The same for the month: two years. In a single year a month is only a stretch of the past."""
HISTORY = "history"


@dataclass(frozen=True, kw_only=True)
class Features:
    """The proposed features."""

    columns: tuple[str, ...]
    """Columns that are features as they are."""
    derived: tuple[dict[str, Any], ...]
    """Calendars and histories, as workload.yaml has them: `{"name": "when", "calendar": "sold_at", "parts": ["hour"]}`.
    """
    others: tuple[LeftOut, ...]
    """Columns that are no features, with their reasons."""
    texts: tuple[str, ...] = ()
    """The columns of `columns` whose words are read."""

    def without(self, left_out: Sequence[LeftOut]) -> Features:
        """The same features without these columns, which histories lose as well. They join `others`."""
        names = {one.name for one in left_out}
        derived: list[dict[str, Any]] = []
        for feature in self.derived:
            # A history goes if no column of it is left. A calendar has no `history` and stays as it is.
            kept = [name for name in feature.get("history", ()) if name not in names]
            derived += [feature | {"history": kept}] if kept else [] if "history" in feature else [feature]
        return Features(
            columns=tuple(name for name in self.columns if name not in names),
            derived=tuple(derived),
            others=(*self.others, *left_out),
            texts=tuple(name for name in self.texts if name not in names),
        )


def find_features(
    seen: Sequence[Observed],
    contract: Table,
    *,
    excluded: Sequence[str],
    made: Sequence[str],
    keep: Sequence[str],
    event_time: str,
    series: Series | None,
) -> Features:
    """The features of these columns.

    `excluded` are no candidates and need no reason. `made` are columns that each drop generates, so they are none
    either. Columns of `keep` are taken although they are of a person. With a `series`, the numbers have a history."""
    columns, others, derived, texts = [], [], [], []
    for observed in seen:
        if observed.name in (*excluded, *made):
            continue
        column = contract.column(observed.name)
        # The first reason against a column counts.
        if column.is_protected and observed.name not in keep:
            others.append(LeftOut(name=observed.name, reason=f"of a person (--keep {observed.name} takes it)"))
        elif observed.is_time:
            if parts := calendar_parts(observed):
                derived.append(_calendar(observed.name, event_time, contract, parts))
            else:
                others.append(LeftOut(name=observed.name, reason="a time: too few days for weekdays, and no hours"))
        elif says_part(observed):
            others.append(LeftOut(name=observed.name, reason="says which part a row belongs to"))
        elif reason := why_no_feature(column, observed):
            others.append(LeftOut(name=observed.name, reason=reason))
        else:
            texts += [observed.name] if is_free_text(column, observed) else []
            columns.append(observed.name)
    # All numbers that are features also have a past; the label too, where it is an input.
    if series is not None:
        numbers = [one.name for one in seen if one.name in columns and one.is_number]
        if numbers:
            past: dict[str, Any] = {"name": _free(HISTORY, contract), "history": numbers, "hours": series.hours}
            if series.every_hours != 1:
                past["every_hours"] = series.every_hours
            derived.append(past)
    return Features(columns=tuple(columns), derived=tuple(derived), others=tuple(others), texts=tuple(texts))


def calendar_parts(column: Observed) -> list[str]:
    """The parts of the calendar that differ in these times and come again: of `hour`, `weekday` and `month`."""
    import numpy as np
    import pyarrow as pa

    kind = pa.timestamp("us", column.cells.type.tz if pa.types.is_timestamp(column.cells.type) else None)
    # Microseconds since 1970. Days that lie decades from the others would make the span look like years.
    times = column.cells.drop_null().cast(kind).cast(pa.int64()).to_numpy()
    far = [(day - date(1970, 1, 1)).days for day, _ in far_times(column)]
    days = np.setdiff1d(times // 86_400_000_000, far)
    span = int(days[-1] - days[0]) + 1 if len(days) else 0
    found = ["hour"] if len(np.unique(times // 3_600_000_000 % 24)) > 1 else []
    if span >= DAYS_OF_WEEKDAYS and len(np.unique(days % 7)) > 1:
        found.append("weekday")
    return [*found, "month"] if span >= DAYS_OF_MONTHS else found


def _calendar(name: str, event_time: str, contract: Table, parts: list[str]) -> dict[str, Any]:
    words = "when" if name == event_time else f"{name}_calendar"
    return {"name": _free(words, contract), "calendar": name, "parts": parts}


def _free(name: str, contract: Table) -> str:
    """The name, with as many underscores behind it as make it differ from all columns."""
    while name in contract.names:
        name += "_"
    return name
