"""The examples of a dataset version: the rows that a model can learn from or be judged on, with a label and a past."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from millrace.contract.deduplicate import key_of
from millrace.contract.schema import Contract
from millrace.datasets.labels import LabelColumns
from millrace.datasets.names import with_names
from millrace.datasets.read import read_snapshot, times
from millrace.datasets.row_files import RowFiles, rows_at_once, slices
from millrace.datasets.split import Split, parts_by_hash, parts_by_order, split, split_by_parts, without_strays
from millrace.errors import SnapshotError
from millrace.features import catalogue as encoders
from millrace.features.as_of import HOUR_US, NONE, as_of, entity_times, times_us
from millrace.features.catalogue import Features
from millrace.features.known_ahead import KnownAhead
from millrace.workload.declaration import Prediction, Workload
from millrace.workload.training import ByGroup, ByKeyHash

Times = npt.NDArray[np.datetime64]

FEWEST_GAP_DAYS = 31
"""A row is a stray only if it lies more than this many days from all others, however short the parts of a split are."""
LABEL = "_label"
"""The column with the label of the row: its own, or the label of a later row."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Rows in the order of event time, or one part after the other if the split is not in time."""

    table: pa.Table
    """The columns that were read, the past of each history, and `_label` without nulls."""
    times_N: Times
    parts: Split

    def part(self, rows: slice) -> pa.Table:
        return self.table.slice(rows.start, rows.stop - rows.start)


def digest_of_rows(table: pa.Table, contract: Contract) -> str:
    """SHA-256 of the rows in their order, the same however they came and in whatever files they lie.

    Cells that ingestion generates are left out: they say when a row came."""
    generated = {column.name for column in contract.rows.columns if column.generated}
    hashes = defaultdict[tuple[str, int], Any](sha256)
    for piece in slices(table):
        for name in {*piece.column_names} - generated:
            for place, part in enumerate(_parts_of(piece[name].combine_chunks())):
                hashes[name, place].update(part)
    words = (f"{name} {hashes[name, place].hexdigest()}\n" for name, place in sorted(hashes))
    return sha256("".join(words).encode()).hexdigest()


def _parts_of(cells: pa.Array) -> Iterator[bytes]:
    """What the cells are made of. Each part of a longer array is that of its pieces, one after the other."""
    yield cells.is_valid().to_numpy(zero_copy_only=False).tobytes()
    there = cells.drop_null()
    if pa.types.is_nested(there.type):
        yield pc.list_value_length(there).to_numpy().tobytes()
        yield from _parts_of(there.flatten())
    elif pa.types.is_primitive(there.type):
        yield there.to_numpy(zero_copy_only=False).tobytes()
    else:
        words = there.cast(pa.large_binary())
        yield pc.binary_length(words).to_numpy().tobytes()
        yield b"".join(words.to_pylist())


def read_rows(
    folder: Path,
    schema: Path,
    *,
    workload: Workload,
    contract: Contract,
    features: Features,
    more_columns: Sequence[str] = (),
    files: RowFiles | None = None,
) -> pa.Table:
    """All rows of the snapshot in `folder`, with the columns that examples are made of.

    `features` are those of every model that will read them. `more_columns` are read beside their columns, and may be
    null in some rows. With `files` the rows lie in files: in memory are their keys, times and labels, and a piece of
    the other cells at a time. Raises SnapshotError as `read_snapshot` does."""
    prediction, extra = workload.prediction, workload.split_columns
    names, required = encoders.columns(features), {column.name for column in contract.rows.columns if column.required}
    beside = [name for name in more_columns if name not in (*names, *prediction.label_columns, *extra)]
    # A label may be null: with a horizon it is in a later row, and if it is not required, a later label may bring it.
    later = [name for name in prediction.label_columns if prediction.horizon_hours or name not in required]
    # What is known of later moments lies in later rows, in columns that may be no features.
    ahead = KnownAhead.of(contract.rows, prediction)
    beside += [name for name in ahead.reads if name not in (*names, *beside)]
    # Computed anew, so that another expression counts for older rows, too.
    derived = contract.rows.derived if {*names, *extra, *beside} & contract.rows.derived.keys() else {}
    beside += [name for one in derived.values() for name in one.sources]
    table = read_snapshot(
        folder,
        schema,
        columns=[name for name in (*names, *prediction.label_columns, *extra, *beside) if name not in derived],
        event_time=prediction.event_time,
        key=prediction.key,
        optional=[*later, *extra, *beside, *(name for name in names if name not in required)],
        labels=LabelColumns.of(prediction, workload.name),
        files=files,
    )
    for name, expression in derived.items():
        table = table.append_column(name, expression.of_rows(table))
    return ahead.fill(table, table)


def examples(table: pa.Table, *, workload: Workload, features: Features, files: RowFiles | None = None) -> Examples:
    """The rows of `table` that have a label and a past, with their split. `table` is in the order of event time.

    Raises SnapshotError if there is no such row."""
    # Histories and labels are looked up among all rows. Only then rows are left out: they may be the past of others.
    label = label_of(table, workload.prediction)
    keep = label.is_valid().to_numpy(zero_copy_only=False)
    for history in encoders.histories(features):
        keep &= ~history.is_too_short(table)
    if left := int((~keep).sum()):
        print(f"left out {left} of {table.num_rows} rows: without a label, or without a whole past", flush=True)
    # Validation decodes images of new rows. A table may have older rows, from before it did so.
    decodable = np.concatenate([encoders.decodable(features, piece) for piece in slices(table)])
    if undecodable := int((keep & ~decodable).sum()):
        print(f"left out {undecodable} of {table.num_rows} rows: their image cannot be decoded", flush=True)
    keep &= decodable
    if not keep.any():
        past = ["a whole past"] if encoders.histories(features) else []
        images = ["images that can be decoded"] if encoders.images(features) else []
        expected = f"rows with {' and '.join(['a label', *past, *images])}"
        raise SnapshotError(f"expected {expected}, got none among {table.num_rows:,}")
    labelled = table.append_column(LABEL, label)
    if files is None:
        kept = _kept(labelled, keep, features)
    else:
        kept = files.write(_kept_pieces(labelled, keep, features, workload.prediction.event_time))
    return _divided(_without_strays(kept, workload), workload, files)


def _kept(
    rows: pa.Table, keep_N: npt.NDArray[np.bool_], features: Features, before: pa.Table | None = None
) -> pa.Table:
    """The rows to keep, with the past of each history; the past may lie in rows that are not kept, and in `before`."""
    whole = encoders.add_histories(features, rows, before)
    return whole if keep_N.all() else whole.filter(pa.array(keep_N)).combine_chunks()


def _kept_pieces(
    table: pa.Table, keep_N: npt.NDArray[np.bool_], features: Features, event_time: str
) -> Iterator[pa.Table]:
    """As `_kept`, in pieces: one stretch of the rows after the other, in the order of event time."""
    # The past of a row takes four bytes for each step and column: a piece is cut by what it becomes, not by what it is.
    time_N = times_us(table[event_time])
    reach_us = max((round(history.hours * HOUR_US) for history in encoders.histories(features)), default=0)
    a_row = sum(4 * history.steps * len(history.history) for history in encoders.histories(features))
    size = rows_at_once(table.nbytes + table.num_rows * a_row, table.num_rows)
    for at in range(0, table.num_rows, size):
        # The oldest step of the piece's first row: earlier rows are the past of no row in the piece.
        first = int(np.searchsorted(time_N, time_N[at] - reach_us))
        yield _kept(table.slice(at, size), keep_N[at : at + size], features, table.slice(first, at - first))


def _without_strays(table: pa.Table, workload: Workload) -> pa.Table:
    """The rows without the few that lie far from all others, by a wrong date.

    Far is more days than a split by time sets aside for validation and test, and more than a month in any case."""
    training, times_N = workload.training, times(table, workload.prediction.event_time)
    near = without_strays(times_N, days=max(FEWEST_GAP_DAYS, training.validation_days + training.test_days))
    if left := table.num_rows - (near.stop - near.start):
        span = f"{times_N[near.start]} to {times_N[near.stop - 1]}"
        print(f"left out {left} of {table.num_rows} rows: their time lies far from all others, {span}", flush=True)
    return table.slice(near.start, near.stop - near.start)


def label_of(table: pa.Table, prediction: Prediction) -> pa.Array:
    """The label of each row: its own, or the one of the same entity's row exactly `horizon_hours` later; else null.

    With several labels or horizons it is a list of them, and null if one of them is missing."""
    if prediction.labels:
        return _together([table[name].combine_chunks() for name in prediction.labels])
    own = table[prediction.label].combine_chunks()
    if not prediction.horizon_hours:
        return own
    [here] = entity_times([table], entity=prediction.entity, event_time=prediction.event_time)
    # A label ahead is a past at a negative distance: the same search finds it. It takes exact times only.
    ahead_T = np.array([-round(hours * HOUR_US) for hours in prediction.horizons], dtype=np.int64)
    places = as_of(here, here, distances_T=ahead_T, tolerance_us=1)
    later = [own.take(pa.array(found, mask=found == NONE)) for found in places]
    return _together(later) if prediction.horizons_hours else later[0]


def _together(columns: Sequence[pa.Array]) -> pa.Array:
    """The cells of each row as a list; null if one of them is null."""
    whole = np.logical_and.reduce([np.asarray(one.is_valid()) for one in columns])
    count, width = len(whole), len(columns)
    # Column after column, then taken row by row.
    flat = pa.concat_arrays(columns).take(pa.array(np.arange(count * width).reshape(width, count).T.ravel()))
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * width)
    lists = pa.ListArray.from_arrays(offsets, flat)
    return lists.take(pa.array(np.arange(count), mask=~whole))


def entities_of(table: pa.Table, workload: Workload) -> npt.NDArray[np.int64]:
    """The number of each row's entity (`Workload.entity`), the same for all rows that a split keeps together.

    If nothing but the event time tells rows apart, each row has a number of its own."""
    if not workload.entity:
        return np.arange(table.num_rows)
    table = _named(table, workload)
    [found] = entity_times([table], entity=workload.entity, event_time=workload.prediction.event_time)
    nameless_N = np.any([table[name].is_null() for name in workload.entity], axis=0)
    return np.where(nameless_N, table.num_rows + np.arange(table.num_rows), found.entity_N)


def blocks_of(rows: Examples, part: slice, workload: Workload) -> npt.NDArray[np.intp]:
    """The block of each row of a part for intervals: whole days, or whole entities if rows are in no order of time.

    Neighbours are alike, and so are the rows of an entity. Those of a declared one are never drawn apart."""
    from millrace.evaluation.bootstrap import days, entities

    if rows.parts.is_in_time:
        return days(rows.times_N[part])
    entity_N = entities_of(rows.part(part), workload).tolist()
    return entities(entity_N, fewest=0) if workload.training.split.by == "group" else entities(entity_N)


def _named(table: pa.Table, workload: Workload) -> pa.Table:
    """The table with the names of a split by first pieces in place of the whole texts."""
    division = workload.training.split
    return with_names(table, division.columns, division.pieces) if division.by == "group" else table


def horizon_of(prediction: Prediction) -> np.timedelta64:
    """How far ahead of a row its label lies; with several horizons the farthest."""
    return np.timedelta64(round(prediction.horizon_hours * HOUR_US), "us")


def _divided(table: pa.Table, workload: Workload, files: RowFiles | None) -> Examples:
    """The examples with their split: by time as they are, otherwise in the order of their parts."""
    training, prediction = workload.training, workload.prediction
    times_N = times(table, prediction.event_time)
    if training.split.by == "time":
        return Examples(
            table=table, times_N=times_N, parts=split(times_N, horizon=horizon_of(prediction), **training.days)
        )
    order, parts = split_by_parts(_parts(table, workload), times_N)
    ordered = files.in_order(table, order) if files else table.take(order).combine_chunks()
    return Examples(table=ordered, times_N=times_N[order], parts=parts)


def _parts(table: pa.Table, workload: Workload) -> npt.NDArray[np.int64]:
    """The part of each row by the workload's split: 0 training, 1 validation, 2 test, -1 none."""
    division = workload.training.split
    if division.by == "column":
        names = pa.array([division.train, division.validation, division.test])
        given = table[division.column].combine_chunks().cast(pa.string())
        # The place of the value among the three names is the part; null, for any other value, becomes -1.
        places = pc.index_in(given, value_set=names)
        found: npt.NDArray[np.int64] = places.fill_null(-1).cast(pa.int64()).to_numpy()
        if division.absent is None or not given.null_count:
            return found
        by_hash = _parts_by_hash(table, division.absent, workload)
        return np.where(given.is_null().to_numpy(zero_copy_only=False), by_hash, found)
    if division.by == "row_order":
        shares = {"validation_share": division.validation_share, "test_share": division.test_share}
        return parts_by_order(table.num_rows, **shares)
    assert division.by != "time"
    return _parts_by_hash(table, division, workload)


def _parts_by_hash(table: pa.Table, division: ByGroup | ByKeyHash, workload: Workload) -> npt.NDArray[np.int64]:
    """The part of each row by the hash of its entity, so an entity is in one part; of its key if it has no name."""
    own = workload.prediction.key
    entity = workload.entity or own
    shares = {"validation_share": division.validation_share, "test_share": division.test_share}
    pairs = ((key_of(_named(piece, workload), entity), key_of(piece, own)) for piece in slices(table))
    keys = (pc.coalesce(*(each.cast(pa.string()) for each in pair)).to_pylist() for pair in pairs)
    return np.concatenate([parts_by_hash(some, **shares) for some in keys])
