"""Turns the inputs of decisions into the columns that the monitors watch, and counts who answered them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from millrace.contract.kinds import FLOATS, arrow_type, parse_cell
from millrace.contract.schema import Column, Table
from millrace.decisions.record import Decision
from millrace.features.catalogue import Features, columns, histories, measured, summarise
from millrace.messages.served import ServedReport
from millrace.monitoring import baseline
from millrace.monitoring.baseline import Baseline
from millrace.monitoring.constant import Constant


def watched(decisions: Sequence[Decision], known: Baseline, features: Features, table: Table) -> pa.Table:
    """The columns of the baseline, filled from the inputs of the decisions; null where an input has nothing.

    `features` are the encoders as declared now, and `table` is the contract's. Most columns are the encoders' summaries
    of the inputs. A champion may have been declared with other features: a column that no encoder watches now is taken
    from the input as it is. Images and texts were measured by the container that encoded them. A decision that no model
    made lacks these measures, and is left out if there are such features. So is a row of a scored file, which is also
    left out if there are histories: their past came out of the table of rows, and is not in the decision."""
    by_container = measured(features)
    names = [name for encoder in by_container for name in encoder.watched]
    decisions = [one for one in decisions if all(name in one.watched for name in names)]
    features = tuple(encoder for encoder in features if encoder not in by_container)
    if histories(features):
        decisions = [one for one in decisions if one.source != "batch"]
    rows = [json.loads(decision.input) for decision in decisions]
    needed = dict.fromkeys([*columns(features), *(column.name for column in known.columns)])
    cells = {name: _cells([row.get(name) for row in rows], name, table) for name in needed}
    # A history takes its past out of the request. `every` has the cells as they are, over them the summaries of the
    # encoders, and what the container measured.
    found = pa.table(cells)
    for history in histories(features):
        found = history.add_requested(found, rows)
    summaries = summarise(features, found)
    every = {name: found.column(name) for name in found.column_names}
    every |= {name: summaries.column(name) for name in summaries.column_names}
    every |= {
        name: pa.chunked_array([pa.array([one.watched[name] for one in decisions], pa.float64())]) for name in names
    }
    return pa.table({column.name: _as_sketched(every[column.name], column) for column in known.columns})


def _cells(cells: list[Any], name: str, table: Table) -> pa.ChunkedArray:
    """The cells of one column in the contract's type, or as text if the contract has no such column.

    A cell that does not fit its type counts as missing here: to refuse it is the contract's task."""
    if name not in table.names:
        return pa.chunked_array([pa.array([None if cell is None else str(cell) for cell in cells], pa.string())])
    column = table.column(name)
    kind = arrow_type(column.kind)
    return pa.chunked_array([pa.array([_cell(cell, column) for cell in cells], kind)])


def _cell(cell: Any, column: Column) -> Any:
    """One cell of JSON as the column's kind; None if it does not fit."""
    if column.kind in FLOATS:
        return cell if type(cell) in (int, float) else None
    try:
        return parse_cell(cell, column.kind)
    except (ValueError, OverflowError):
        return None


def _as_sketched(values: pa.ChunkedArray, column: baseline.BaselineColumn) -> pa.ChunkedArray:
    """The values as the baseline's sketch counts them: numbers in float64, all else as text."""
    # A column of numbers may come as text, if the contract no longer has it: then all of its cells are missing.
    sketch = column.sketch
    is_number = isinstance(sketch.value, int | float) if isinstance(sketch, Constant) else sketch.kind == "numeric"
    if is_number and pa.types.is_string(values.type):
        return pa.chunked_array([pa.nulls(len(values), pa.float64())])
    return values.cast(pa.float64() if is_number else pa.string())


def served(decisions: Sequence[Decision]) -> ServedReport:
    """Who answered, and the times of the calls."""
    # The rows of a call came at one moment and took the same time.
    calls = {(one.inferred_at, one.latency_ms) for one in decisions if one.source != "batch"}
    took_ms = [latency_ms for _, latency_ms in calls]
    p50_ms, p95_ms, p99_ms = np.percentile(took_ms, [50, 95, 99]).round(3).tolist() if calls else (None, None, None)
    return ServedReport(
        fallback=sum(one.fallback for one in decisions),
        review=sum(one.action == "review" for one in decisions),
        reasons=dict(Counter(one.reason for one in decisions if one.fallback or one.action == "review").most_common()),
        calls=len(calls),
        p50_ms=p50_ms,
        p95_ms=p95_ms,
        p99_ms=p99_ms,
    )
