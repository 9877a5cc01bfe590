"""Turns the inputs of decisions into the columns that the monitors watch, and counts who answered them."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.contract.schema import Table
from millrace.decisions.columns import INPUT, WATCHED, ColumnShape
from millrace.features.catalogue import Features, columns, histories, measured, summarise
from millrace.messages.monitor import ServedReport
from millrace.monitoring import baseline
from millrace.monitoring.answers import IS
from millrace.monitoring.baseline import Baseline
from millrace.monitoring.sketch import Constant
from millrace.tasks.task import AnswerField


def shape_of(known: Baseline, features: Features, table: Table, answer: tuple[AnswerField, ...]) -> ColumnShape:
    """What the monitors read of decisions. `features` are the encoders as declared now, `table` is the contract's."""
    by_container = [name for encoder in measured(features) for name in encoder.watched]
    needed = dict.fromkeys([*columns(_of_rows(features)), *(column.name for column in known.columns)])
    kinds = {name: table.column(name).kind if name in table.names else None for name in needed}
    of_answers = [name for name in known.answers.columns if IS not in name] if known.answers else []
    measures = dict.fromkeys([*by_container, *of_answers])
    fields = {one.name for one in answer}
    return ColumnShape(cells=kinds, answer=answer, measures=tuple(name for name in measures if name not in fields))


def watched(decisions: pa.Table, known: Baseline, features: Features) -> pa.Table:
    """The columns of the baseline, filled from the inputs of the decisions; null where an input has nothing.

    Most columns are the encoders' summaries of the inputs. A champion may have been declared with other features: a
    column that no encoder watches now is taken from the input as it is. Images and texts were measured by the container
    that encoded them. A decision that no model made lacks these measures, and is left out if there are such features.
    So is a row of a scored file, which is also left out if there are histories: their past came out of the table of
    rows, and is not in the decision."""
    names = [name for encoder in measured(features) for name in encoder.watched]
    for name in names:
        decisions = decisions.filter(pc.is_valid(decisions.column(WATCHED + name)))
    features = _of_rows(features)
    cells = {
        name.removeprefix(INPUT): decisions.column(name) for name in decisions.column_names if name.startswith(INPUT)
    }
    # A history takes its past out of the request. `every` has the cells as they are, over them the summaries of the
    # encoders, and what the container measured.
    if histories(features):
        asked = pc.not_equal(decisions.column("source"), "batch")
        decisions, cells = decisions.filter(asked), {name: cell.filter(asked) for name, cell in cells.items()}
    found = pa.table(cells)
    if histories(features):
        rows = [json.loads(text) for text in decisions.column("input").to_pylist()]
        for history in histories(features):
            found = history.add_requested(found, rows)
    summaries = summarise(features, found)
    every = {name: found.column(name) for name in found.column_names}
    every |= {name: summaries.column(name) for name in summaries.column_names}
    every |= {name: decisions.column(WATCHED + name) for name in names}
    return pa.table({column.name: _as_sketched(every[column.name], column) for column in known.columns})


def _of_rows(features: Features) -> Features:
    """Those that are not measured by the container."""
    by_container = measured(features)
    return tuple(encoder for encoder in features if encoder not in by_container)


def _as_sketched(values: pa.ChunkedArray, column: baseline.BaselineColumn) -> pa.ChunkedArray:
    """The values as the baseline's sketch counts them: numbers in float64, all else as text."""
    # A column of numbers may come as text, if the contract no longer has it: then all of its cells are missing.
    sketch = column.sketch
    is_number = isinstance(sketch.value, int | float) if isinstance(sketch, Constant) else sketch.kind == "numeric"
    if is_number and pa.types.is_string(values.type):
        return pa.chunked_array([pa.nulls(len(values), pa.float64())])
    return values.cast(pa.float64() if is_number else pa.string())


def served(decisions: pa.Table) -> ServedReport:
    """Who answered, and the times of the calls."""
    # The rows of a call came at one moment and took the same time.
    is_asked = pc.not_equal(decisions.column("source"), "batch")
    of_call = ["inferred_at", "latency_ms"]
    calls = decisions.select(of_call).filter(is_asked).group_by(of_call).aggregate([])
    took_ms = calls.column("latency_ms").to_numpy()
    p50_ms, p95_ms, p99_ms = np.percentile(took_ms, [50, 95, 99]).round(3).tolist() if len(took_ms) else (None,) * 3
    is_review = pc.equal(decisions.column("action"), "review")
    others = decisions.column("reason").filter(pc.or_(is_review, decisions.column("fallback")))
    reasons = [(one["values"], one["counts"]) for one in pc.value_counts(others).to_pylist()]
    return ServedReport(
        fallback=pc.sum(decisions.column("fallback")).as_py() or 0,
        review=pc.sum(is_review).as_py() or 0,
        reasons=dict(sorted(reasons, key=lambda reason: -reason[1])),
        calls=len(took_ms),
        p50_ms=p50_ms,
        p95_ms=p95_ms,
        p99_ms=p99_ms,
    )
