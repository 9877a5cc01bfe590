"""The labels of the windows, out of the Iceberg table."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from millrace.decisions.outcomes import PREDICTION_ID
from millrace.timestamps import stamp

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.schema import Schema

    from millrace.datasets.tables import Lake
    from millrace.workload.declaration import Prediction


def labels_between(lake: Lake, surface: Prediction, start: datetime, end: datetime) -> pa.Table | None:
    """The labels of rows with an event time in [start, end); None before any came.

    The label of a row lies the workload's horizon later.

    The columns are the entity's key, the event time and `prediction_id`, as far as the table has them, and the
    label. A table without event time is read whole."""
    table = lake.find("labels")
    if table is None:
        return None
    there = set(table.schema().column_names)
    wanted = dict.fromkeys([*surface.key, surface.event_time, PREDICTION_ID, surface.label])
    ahead = timedelta(hours=surface.horizon_hours)
    inside = _inside(table.schema(), surface.event_time, start + ahead, end + ahead)
    return table.scan(row_filter=inside, selected_fields=tuple(name for name in wanted if name in there)).to_arrow()


def _inside(schema: Schema, event_time: str, start: datetime, end: datetime) -> BooleanExpression:
    """Times without a zone are UTC here, as everywhere."""
    from pyiceberg.expressions import AlwaysTrue, And, GreaterThanOrEqual, LessThan

    if event_time not in schema.column_names:
        return AlwaysTrue()
    zone = "+00:00" if str(schema.find_type(event_time)) == "timestamptz" else ""
    first, last = (stamp(at).removesuffix("Z") + zone for at in (start, end))
    return And(GreaterThanOrEqual(term=event_time, value=first), LessThan(term=event_time, value=last))
