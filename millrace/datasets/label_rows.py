"""Reads the labels of rows of some stretch of time from the Iceberg tables."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from millrace.contract.schema import ARRIVED, PREDICTION_ID, SOURCE
from millrace.datasets.labels import current
from millrace.datasets.new_rows import inside
from millrace.decisions.review import doubted_labels

if TYPE_CHECKING:
    from millrace.datasets.tables import Lake
    from millrace.workload.declaration import Prediction


def labels_between(lake: Lake, prediction_spec: Prediction, start: datetime, end: datetime) -> pa.Table | None:
    """The labels of rows with an event time in [start, end); None if there is no table of labels yet.

    The label of a row lies the workload's horizon later, and those of a forecast up to its farthest horizon. With a
    horizon, a later row of the table `rows` holds a label too; labels of the table `labels` come first. A label with a
    generated event time may have come at any time after its row. Of two labels with the same key the one that arrived
    later counts, unless a person gave it because the model contradicted the earlier one: models are judged by labels
    that no model has chosen.

    The columns are the key, the event time, `prediction_id` and the time of arrival, as far as a table has them, and
    the label. A table without the event time is read whole."""
    found = [
        part
        for name in prediction_spec.label_tables
        if (part := _labels_of(lake, name, prediction_spec, start, end)) is not None
    ]
    return pa.concat_tables(found, promote_options="permissive") if found else None


def count_labels_since(lake: Lake, prediction_spec: Prediction, start: datetime) -> int:
    """How many rows with an event time from `start` on have a label: a late one, or one that they came with."""
    found = (_labels_of(lake, name, prediction_spec, start) for name in ("labels", "rows"))
    return sum(one.num_rows for one in found if one is not None)


def _labels_of(
    lake: Lake,
    name: str,
    prediction_spec: Prediction,
    start: datetime,
    end: datetime | None = None,
) -> pa.Table | None:
    """The labels in the table `name`. Without `end` all from `start` on."""
    table = lake.find(name)
    if table is None:
        return None
    there = set(table.schema().column_names)
    wanted = dict.fromkeys(
        [*prediction_spec.key, prediction_spec.event_time, PREDICTION_ID, *prediction_spec.label_columns]
    )
    # The labels of rows in [start, end) lie between the nearest horizon of the first and the farthest of the last row.
    nearest, farthest = (timedelta(hours=prediction_spec.horizons[at]) for at in (0, -1))
    is_generated = lake.contract.labels.column(prediction_spec.event_time).generated
    until = None if is_generated or end is None else end + farthest
    which = inside(table.schema(), prediction_spec.event_time, start + nearest, until)
    beside = (ARRIVED, SOURCE) if name == "labels" else ()
    selected = tuple(column for column in [*wanted, *beside[:1]] if column in there)
    needed = tuple(column for column in [*wanted, *beside] if column in there)
    rows = table.scan(row_filter=which, selected_fields=needed).to_arrow()
    # The table of labels keeps corrected labels as further rows: the latest of each key counts. Rows have no label yet
    # where all label columns are empty.
    if name == "labels" and SOURCE in there:
        chosen = pc.starts_with(rows[SOURCE], doubted_labels(lake.names.workload))
        rows = rows.filter(pc.invert(pc.fill_null(chosen, fill_value=False)))
    if name == "labels" and there.issuperset(prediction_spec.key):
        rows = current(rows, prediction_spec.key, prediction_spec.label_columns)
    rows = rows.select(selected)
    return rows.filter(reduce(pc.or_, (pc.is_valid(rows[name]) for name in prediction_spec.label_columns)))
