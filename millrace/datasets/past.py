"""Reads the past of a drop's rows from the table, for the histories of a model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from millrace.datasets.new_rows import between

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.datasets.tables import Lake
    from millrace.features.history import History


def columns_of(histories: Sequence[History]) -> list[str]:
    """The names of the columns that the histories read, each once."""
    return list(dict.fromkeys(name for history in histories for name in history.columns))


def read_past(lake: Lake, histories: Sequence[History], rows: pa.Table) -> pa.Table | None:
    """The table's rows from as far back as a history reaches before any of `rows` to the time of the last of them.

    None if there is no table yet or no history, or if `rows` is empty."""
    if not histories:
        return None
    # The farthest history decides how far back rows are read.
    reach = max(history.reach_hours for history in histories)
    return read_around(lake, columns_of(histories), rows, event_time=histories[0].event_time, reach_hours=reach)


def read_around(
    lake: Lake, names: Sequence[str], rows: pa.Table, *, event_time: str, reach_hours: float
) -> pa.Table | None:
    """These columns of the table's rows from `reach_hours` before the first of `rows` to the time of the last of them.

    None if there is no table yet, or if `rows` is empty."""
    import pyarrow.compute as pc

    iceberg = lake.find("rows")
    if iceberg is None or iceberg.current_snapshot() is None or not rows.num_rows:
        return None
    extremes = pc.min_max(rows.column(event_time)).as_py()
    reach, least = timedelta(hours=reach_hours), extremes["min"]
    first = least - min(reach, least - datetime.min.replace(tzinfo=least.tzinfo))  # the calendar begins with year 1
    within = between(event_time, (first, extremes["max"]))
    return iceberg.scan(row_filter=within, selected_fields=tuple(names)).to_arrow().select(list(names))
