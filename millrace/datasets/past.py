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
    import pyarrow.compute as pc

    iceberg = lake.find("rows")
    if not histories or iceberg is None or iceberg.current_snapshot() is None or not rows.num_rows:
        return None
    # The farthest history decides how far back rows are read.
    time = histories[0].event_time
    extremes = pc.min_max(rows.column(time)).as_py()
    reach, least = timedelta(hours=max(history.reach_hours for history in histories)), extremes["min"]
    first = least - min(reach, least - datetime.min.replace(tzinfo=least.tzinfo))  # the calendar begins with year 1
    names = columns_of(histories)
    found = iceberg.scan(row_filter=between(time, (first, extremes["max"])), selected_fields=tuple(names)).to_arrow()
    return found.select(names)
