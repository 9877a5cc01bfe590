"""Joins decisions with the labels that come later: which label belongs to which decision, and how wrong it was.

A label that names an id counts for that decision only: for none if no decision has the id. Any other label counts for
the decisions about its entity and event time, of which the first one was acted on.

Axes: D decisions, L labels (of a forecast: labels × horizons), N outcomes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from millrace.contract.schema import ARRIVED, PREDICTION_ID, Table
from millrace.decisions.columns import INPUT, OUTPUT, as_said, typed
from millrace.tasks.task import Task
from millrace.timestamps import MICROSECOND
from millrace.workload.declaration import Prediction

Places = NDArray[np.int64]
Floats = NDArray[np.float64]

SECOND = 1_000_000
ENOUGH_PARTS = 0.9
"""If a decision has several labels, this share of them must be known before its error counts, 0 to 1.

Not all need be known: one hour that is missing in a series is a label of every forecast that reaches over it."""
CELLS = ("places", "labels", "errors", "weights", "labelled_at")
"""The fields of Outcomes that have a cell for each outcome."""
NEVER, ALWAYS = np.iinfo(np.int64).min, np.iinfo(np.int64).max


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """Decisions that models made, and the truth where it is known. All but the table have a cell for each outcome."""

    decisions: pa.Table
    """The table that has these decisions, among others: no part of the outcomes copies rows of it."""
    places: Places
    """Their rows in it (N)."""
    labels: NDArray[np.object_]
    """None if it has not come. A list if the decision has several, with None for one that has not come."""
    errors: Floats
    """As the task counts it; NaN without a label, or if too few of several are known."""
    weights: Floats
    """How many rows each stands for, if only some labels were asked for; else 1."""
    labelled_at: Places
    """When its first label came, in microseconds since 1970; NEVER without a label, or if that is not recorded."""

    def __len__(self) -> int:
        return len(self.places)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether the error is known."""
        return ~np.isnan(self.errors)

    @cached_property
    def times(self) -> Places:
        """The event times in microseconds since 1970."""
        return np.asarray(self.decisions.column("event_time").cast(pa.int64()).to_numpy()[self.places])

    def says(self, name: str, value: str) -> NDArray[np.bool_]:
        """Where a column of the decisions has this text."""
        is_it = pc.fill_null(pc.equal(self.decisions.column(name), value), fill_value=False)
        return np.asarray(is_it.to_numpy()[self.places], bool)

    def answers(self, field: str) -> Floats:
        """A field of the answers, if that is one number; else NaN."""
        name = OUTPUT + field
        if name not in self.decisions.column_names or not _is_number(self.decisions.schema.field(name).type):
            return np.full(len(self), np.nan)
        return np.asarray(pc.cast(self.decisions.column(name), pa.float64()).to_numpy()[self.places], np.float64)

    @property
    def cells(self) -> pa.Table:
        """The columns of answers and inputs."""
        names = [name for name in self.decisions.column_names if name.startswith((INPUT, OUTPUT))]
        return self.decisions.select(names).take(pa.array(self.places))

    def column(self, name: str) -> pa.ChunkedArray:
        """A column of the decisions."""
        return self.decisions.column(name).take(pa.array(self.places))

    def take(self, places: Places | NDArray[np.bool_]) -> Outcomes:
        """Those at these places, or where it is true."""
        parts = {name: getattr(self, name)[places] for name in CELLS}
        return Outcomes(decisions=self.decisions, **parts)


def merge(parts: Sequence[Outcomes]) -> Outcomes:
    """The outcomes of all parts of one table, of which there is at least one, in the order of their event time."""
    whole = {name: np.concatenate([getattr(one, name) for one in parts]) for name in CELLS}
    found = Outcomes(decisions=parts[0].decisions, **whole)
    return found.take(np.argsort(found.times, kind="stable"))


def join(decisions: pa.Table, labels: pa.Table, *, prediction_spec: Prediction, table: Table, task: Task) -> Outcomes:
    """One outcome for each entity and event time that a model decided on. The first decision counts.

    `decisions` has each id once. A label counts for the first decision, even if it names a later one. Labels that name
    a decision go before those that do not. Fallbacks have no outcome, since no model made them. `table` is the
    contract's table of the labels."""
    said = as_said(decisions, task.answer)
    keys = keys_of(said, labels, prediction_spec, table, hours=prediction_spec.horizons)
    key_D, order_L = keys.key_D, np.argsort(~keys.is_named_L, kind="stable")
    key_L = np.where(keys.is_named_L, np.append(key_D, -1)[keys.place_L], keys.key_L)
    answered_D = pc.and_not(pc.is_valid(said.column(OUTPUT + "value")), said.column("fallback")).to_numpy()
    first_D = np.asarray(pc.sort_indices(said, [("inferred_at", "ascending"), ("id", "ascending")]), np.int64)
    first_D = first_D[answered_D[first_D]]
    kept_N = first_D[np.sort(np.unique(key_D[first_D], return_index=True)[1])]
    labels_N = _labels_of(key_D[kept_N], key_L, order_L, labels, prediction_spec)
    return Outcomes(
        decisions=said,
        places=kept_N,
        labels=labels_N,
        errors=_errors(said.column(OUTPUT + "value").take(pa.array(kept_N)), labels_N, task),
        weights=np.ones(len(kept_N)),
        labelled_at=_labelled_at(key_D[kept_N], key_L, labels),
    )


def labels_at(
    outcomes: Outcomes, labels: pa.Table, *, hours: Sequence[float], prediction_spec: Prediction, table: Table
) -> NDArray[np.object_]:
    """As the labels of the outcomes, those of the same entities so many hours after each: one for each horizon (N)."""
    keys = keys_of(outcomes.decisions, labels, prediction_spec, table, hours=hours)
    key_N, every_L = keys.key_D[outcomes.places], np.arange(len(keys.key_L))
    return _labels_of(key_N, keys.key_L, every_L, labels, prediction_spec)


def decisions_of(decisions: pa.Table, labels: pa.Table, *, prediction_spec: Prediction, table: Table) -> Places:
    """The place of the decision that each label is about, at the label's own time; -1 if there is none (L)."""
    keys = keys_of(decisions, labels, prediction_spec, table)
    last_D = pc.sort_indices(decisions, [("inferred_at", "descending"), ("id", "descending")]).to_numpy()
    first = np.full(keys.key_D.max(initial=-1) + 2, -1)
    # numpy assigns in order, so of several decisions about one key the first one stays. The last cell is of none.
    first[keys.key_D[last_D]] = last_D
    return np.where(keys.is_named_L, keys.place_L, first[keys.key_L])


@dataclass(frozen=True, kw_only=True)
class OutcomeKeys:
    """What decisions and labels are about. L are the labels at the first horizon, then those at the next one."""

    key_D: Places
    """A number for the entity and the event time of each decision."""
    key_L: Places
    """The number of those of each label's row; -1 if no decision is about them."""
    is_named_L: NDArray[np.bool_]
    """Whether the label names a decision."""
    place_L: Places
    """The place of that decision; -1 for an id that no decision has, or one whose row lies at another distance."""

    def places(self, label: int) -> list[int]:
        """The places of the decisions of the label at this place in L."""
        named, key = self.place_L[label], self.key_L[label]
        if self.is_named_L[label]:
            return [] if named < 0 else [int(named)]
        return [] if key < 0 else np.flatnonzero(self.key_D == key).tolist()


def keys_of(
    said: pa.Table, labels: pa.Table, spec: Prediction, table: Table, *, hours: Sequence[float] = (0.0,)
) -> OutcomeKeys:
    """What each decision is about, and each label's row so many hours before it. Of decisions it takes `id`,
    `event_time` and `key`."""
    parts = len(hours)
    event_D = said.column("event_time").cast(pa.int64()).to_numpy()
    times, has_time = times_of(labels, spec.event_time)
    time_L, has_time_L = np.tile(times, parts), np.tile(has_time, parts)
    ahead_L = np.repeat([timedelta(hours=each) // MICROSECOND for each in hours], len(labels))
    event_L = time_L - ahead_L
    columns = [(pa.array(event_D // SECOND), pa.array(event_L // SECOND, mask=~has_time_L))]
    of_labels = label_texts(labels, spec)
    for name, cells in key_texts(said, spec, table).items():
        columns.append((cells, pa.concat_arrays([of_labels[name]] * parts)))
    key_D, key_L = _numbered(columns)
    is_named_L: NDArray[np.bool_] = np.zeros(len(key_L), bool)
    place_L = np.full(len(key_L), -1)
    if PREDICTION_ID in labels.column_names:
        ids = labels.column(PREDICTION_ID).combine_chunks().cast(pa.string())
        is_named_L = np.tile(np.asarray(pc.fill_null(pc.not_equal(ids, ""), fill_value=False), bool), parts)
        place_L = np.tile(pc.fill_null(pc.index_in(ids, said.column("id").combine_chunks()), -1).to_numpy(), parts)
        is_it_L = (ahead_L == 0) | ~has_time_L | (event_L == np.append(event_D, 0)[place_L])
        place_L = np.where(is_it_L, place_L, -1)
    return OutcomeKeys(key_D=key_D, key_L=key_L, is_named_L=is_named_L, place_L=place_L)


def times_of(labels: pa.Table, name: str) -> tuple[Places, NDArray[np.bool_]]:
    """The times of the labels in microseconds since 1970, and whether there is one. Times without a zone are UTC."""
    if name not in labels.column_names:
        return np.zeros(len(labels), np.int64), np.zeros(len(labels), bool)
    times = labels.column(name)
    at = pc.cast(times, pa.timestamp("us", times.type.tz if pa.types.is_timestamp(times.type) else None))
    return pc.fill_null(at.cast(pa.int64()), 0).to_numpy(), pc.is_valid(at).to_numpy()


def label_texts(labels: pa.Table, spec: Prediction) -> dict[str, pa.Array]:
    """One text for each cell of the labels' keys, but for the event time; null for a cell that is missing."""
    missing = pa.chunked_array([pa.nulls(len(labels))])
    return {name: _as_text(labels.column(name) if name in labels.column_names else missing) for name in spec.entity}


def key_texts(decisions: pa.Table, spec: Prediction, table: Table) -> dict[str, pa.Array]:
    """The same texts of the decisions' keys; null for a cell that is not of the contract's type."""
    kinds = {name: table.column(name).kind for name in spec.entity}
    return {name: _as_text(cells) for name, cells in typed(decisions.column("key"), kinds).items()} if kinds else {}


def _as_text(column: pa.ChunkedArray) -> pa.Array:
    """One text for each value: a float by its nearest double, a time by its second."""
    whole, kind = column.combine_chunks(), column.type
    if pa.types.is_timestamp(kind):
        micros = pc.cast(whole, pa.timestamp("us", kind.tz)).cast(pa.int64())
        whole = pc.floor(pc.divide(pc.cast(micros, pa.float64()), SECOND)).cast(pa.int64())
    elif pa.types.is_floating(kind):
        whole = whole.cast(pa.float64())
    elif pa.types.is_boolean(kind):
        whole = pc.if_else(whole, "True", "False")
    return whole.cast(pa.string())


def _numbered(columns: Sequence[tuple[pa.Array, pa.Array]]) -> tuple[Places, Places]:
    """A number for each different row of the columns of decisions (D); for the labels (L) it, or -1 for another row."""
    number = np.zeros(sum(map(len, columns[0])), np.int64)
    for both in columns:
        known = pa.concat_arrays(both).dictionary_encode(null_encoding="encode")
        number = number * len(known.dictionary) + known.indices.to_numpy()
        if len(columns) > 1:
            number = np.unique(number, return_inverse=True)[1]
    key_D, key_L = np.split(number, [len(columns[0][0])])
    is_known = np.zeros(number.max(initial=-1) + 1, bool)
    is_known[key_D] = True
    return key_D, np.where(is_known[key_L], key_L, -1)


def _labels_of(
    key_N: Places, key_L: Places, order_L: Places, labels: pa.Table, spec: Prediction
) -> NDArray[np.object_]:
    """The label of each outcome (N)."""
    found = np.empty(len(key_N), object)
    if not len(labels):
        return found
    cells = [[*labels.column(name).to_pylist(), None] for name in spec.label_columns]
    has_horizons = bool(spec.horizons_hours)
    place_PN = []
    for part in range(len(spec.horizons)):
        ordered_L = order_L[order_L // len(labels) == part]
        row_L, wanted_L = ordered_L - part * len(labels), key_L[ordered_L] >= 0
        if has_horizons:  # which horizon it is only its time says
            at = times_of(labels, spec.event_time)[1]
            wanted_L &= pc.is_valid(labels.column(spec.label)).to_numpy()[row_L] & at[row_L]
        keys, first = np.unique(key_L[ordered_L][wanted_L], return_index=True)
        place = np.full(max(key_N.max(initial=-1), keys.max(initial=-1)) + 1, -1)
        place[keys] = row_L[wanted_L][first]
        place_PN.append(place[key_N])
    if not has_horizons and not spec.labels:
        found[:] = np.array(cells[0], object)[place_PN[0]]
        return found
    for row, places in enumerate(np.stack(place_PN, axis=1).tolist()):
        if max(places) >= 0:
            found[row] = [cells[0][at] for at in places] if has_horizons else [one[places[0]] for one in cells]
    return found


def _labelled_at(key_N: Places, key_L: Places, labels: pa.Table) -> Places:
    """When the first label of each outcome came (N)."""
    came, has_come = times_of(labels, ARRIVED)
    times, is_recorded = np.resize(came, len(key_L)), np.resize(has_come, len(key_L))
    first = np.full(max(key_N.max(initial=-1), key_L.max(initial=-1)) + 1, ALWAYS)
    counted_L = is_recorded & (key_L >= 0)
    np.minimum.at(first, key_L[counted_L], times[counted_L])
    return np.where(first[key_N] == ALWAYS, NEVER, first[key_N])


def _errors(values: pa.ChunkedArray, labels_N: NDArray[np.object_], task: Task) -> NDArray[np.float64]:
    """The error of each outcome (N); NaN where it is not known."""
    pairs = zip(values.to_pylist(), labels_N.tolist(), strict=True)
    if pa.types.is_list(values.type):
        return np.array([task.error(*pair) if _is_known(pair[1]) else math.nan for pair in pairs], np.float64)
    # Few different answers meet few different labels: by type too, since 1 and True are one key.
    error = lru_cache(maxsize=4096, typed=True)(task.error)
    return np.array([math.nan if label is None else error(value, label) for value, label in pairs], np.float64)


def _is_known(label: list[Any] | None) -> bool:
    return label is not None and sum(one is not None for one in label) >= ENOUGH_PARTS * len(label)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
