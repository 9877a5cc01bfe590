"""How far corrected labels can have moved the error of a model: of classes, and of numbers."""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from localcloud.kernel.cloud import Cloud
from millrace.contract.load import load_contract
from millrace.datasets.examples import LABEL, Examples, examples
from millrace.datasets.label_change import LabelChange, compare
from millrace.datasets.memory import COPIES, PLACES_BYTES, RowMemory, row_memory
from millrace.datasets.tables import Lake
from millrace.evaluation.naive.rule import LabelledRows
from millrace.features import catalogue
from millrace.features.signature import Signature, TensorSpec
from millrace.functions.snapshot.declaration import DECLARED as SNAPSHOT
from millrace.functions.validation.declaration import DECLARED as VALIDATION
from millrace.names import WorkloadNames
from millrace.tasks.regression import Regression
from millrace.workload.load import load_workload
from tests.millrace.datasets import joined_load
from tests.shipped import WORKLOADS
from tests.state_table import create_table

PERSON = "c-1783"


def compared(names: WorkloadNames, then: list[float | None], now: list[float | None], *, workload: str) -> LabelChange:
    """The change of the labels of hours, each with its label then and now."""
    spec = load_workload(WORKLOADS / workload).prediction.model_copy(update={"key": ("timestamp", "who")})
    hours = pa.array(range(len(then)), pa.timestamp("us"))
    (label,) = spec.label_columns
    before, after = (
        pa.table({"timestamp": hours, "who": [PERSON] * len(then), label: values}) for values in (then, now)
    )
    # In another order, with a row more: rows are compared by their key.
    more = pa.table(
        {
            "timestamp": pa.array([99], pa.timestamp("us")),
            "who": ["?"],
            label: pa.array([7], after.schema.field(label).type),
        }
    )
    after = pa.concat_tables([more, after.take(pa.array(range(len(then) - 1, -1, -1)))])
    return compare(Lake(names, load_contract(WORKLOADS / workload)), spec, [(before, after)])


@pytest.mark.parametrize(
    ("now", "corrected", "moved"),
    [
        ([0.0, 10.0, 0.0, 10.0], 0, 0.0),
        ([0.0, 10.0, 0.0, 11.0], 1, 0.25),
        ([10.0, 0.0, 10.0, 0.0], 4, 2.0),
        ([0.0, 10.0, 0.0, 5010.0], 1, 250.0),
    ],
    ids=["none", "a little", "inverted", "one of them far"],
)
def test_numbers_move_the_error_by_their_distance_beside_their_spread(
    names: WorkloadNames, now: list[float | None], corrected: int, moved: float
) -> None:
    """Each of these labels is 5 away from their mean. The share of the corrected rows is the least."""
    found = compared(names, [0.0, 10.0, 0.0, 10.0], now, workload="air_quality")
    assert (found.labelled, found.rows) == (4, corrected)
    assert found.moved == pytest.approx(moved)


@pytest.mark.parametrize("lost", [None, math.inf, math.nan], ids=str)
def test_a_number_that_is_lost_counts_in_the_share_and_is_named(names: WorkloadNames, lost: float | None) -> None:
    found = compared(names, [0.0, 10.0, 0.0, 10.0], [0.0, 10.0, 0.0, lost], workload="air_quality")
    assert (found.rows, found.share, found.moved, found.unmeasured) == (1, 0.25, 0.25, 1)
    assert found.first_unmeasured.startswith("timestamp 1970-01-01 00:00:00.000003, ")
    assert PERSON not in found.first_unmeasured, "the audit has it for ever"
    assert found.first_unmeasured.endswith(f" {math.nan if lost is None else lost}, before 10.0")


@pytest.mark.parametrize("stored", [math.inf, -math.inf, math.nan], ids=str)
def test_a_number_that_was_not_finite_holds_nothing_as_long_as_it_stays(names: WorkloadNames, stored: float) -> None:
    """The others are measured beside it."""
    same = compared(names, [0.0, 10.0, 0.0, 10.0, stored], [0.0, 10.0, 0.0, 10.0, stored], workload="air_quality")
    assert (same.rows, same.moved, same.unmeasured) == (0, 0.0, 0)
    moved = compared(names, [0.0, 10.0, 0.0, 10.0, stored], [0.0, 10.0, 0.0, 15.0, stored], workload="air_quality")
    assert (moved.rows, moved.moved, moved.unmeasured) == (1, pytest.approx(0.25), 0)
    mended = compared(names, [0.0, 10.0, 0.0, 10.0, stored], [0.0, 10.0, 0.0, 10.0, 4.0], workload="air_quality")
    assert (mended.rows, mended.moved, mended.unmeasured) == (1, 0.2, 1)


def test_the_largest_numbers_have_a_finite_distance(names: WorkloadNames) -> None:
    found = compared(names, [0.0, 1.5e308, 0.0, 1.5e308], [1.5e308, 0.0, 1.5e308, 0.0], workload="air_quality")
    assert found.moved == pytest.approx(2.0)


def test_labels_without_spread_that_move_have_no_bound(names: WorkloadNames) -> None:
    assert compared(names, [3.0, 3.0], [3.0, 4.0], workload="air_quality").moved is None
    assert compared(names, [3.0, 3.0], [3.0, 3.0], workload="air_quality").moved == 0.0


def test_a_row_that_had_no_label_has_none_that_changes(names: WorkloadNames) -> None:
    found = compared(names, [None, 10.0, 0.0, 10.0], [4.0, 10.0, 0.0, 10.0], workload="air_quality")
    assert (found.labelled, found.rows, found.moved) == (3, 0, 0.0)


def test_of_classes_the_share_of_the_rows_counts(names: WorkloadNames) -> None:
    found = compared(names, [0, 1, 0, 1], [0, 1, 0, 0], workload="electricity")
    assert (found.labelled, found.rows, found.share, found.moved) == (4, 1, 0.25, 0.25)


WORKLOAD = load_workload(WORKLOADS / "air_quality")
FEATURES = catalogue.declare(WORKLOAD.prediction.features, load_contract(WORKLOADS / "air_quality").rows)
HOURS = pq.read_table(WORKLOADS / "air_quality" / "sample" / "beijing_pm25.parquet").slice(0, 24 * 200)
CUT = np.datetime64("2011-06-01T00")
OTHER = 1e6
"""In place of every number that is measured after the cut."""


def made(features: catalogue.Features, *, is_changed: bool) -> Examples:
    table = HOURS
    for name in ("pm2.5", "DEWP", "TEMP", "PRES", "Iws"):
        later = pc.greater(table["timestamp"], pa.scalar(CUT.astype("datetime64[us]").astype(datetime)))
        cells = pc.if_else(later, OTHER, table[name]) if is_changed else table[name]
        table = table.set_column(table.column_names.index(name), name, cells)
    table = table.append_column("dew_spread", pc.subtract(table["TEMP"], table["DEWP"]))
    return examples(table, workload=WORKLOAD, features=features)


def early(found: Examples, features: catalogue.Features) -> dict[str, Any]:
    """The tensors of the examples up to the cut."""
    last = int(np.searchsorted(found.times_N, CUT, side="right"))
    return {name: values[:last] for name, values in catalogue.encode(features, found.table).items()}


def moved(features: catalogue.Features) -> list[str]:
    """The tensors of which an early example changes when what is measured later does.

    Only examples of which both versions have a label are compared: a label that was missing may be there now."""
    before, after = (made(features, is_changed=is_changed) for is_changed in (False, True))
    _, here, there = np.intersect1d(before.times_N, after.times_N, return_indices=True)
    old, new = (early(found, features) for found in (before, after))
    pairs = [(i, j) for i, j in zip(here, there, strict=True) if before.times_N[i] <= CUT]
    rows = tuple(np.array(pairs).T)
    assert len(pairs) > 3000, "enough to notice a leak"
    return [name for name in old if not np.array_equal(old[name][rows[0]], new[name][rows[1]], equal_nan=True)]


def test_no_example_reads_a_later_hour() -> None:
    assert moved(FEATURES) == []


@pytest.mark.parametrize(("lag_hours", "is_known"), [(24, True), (23, False)])
def test_the_naive_rule_knows_no_more_than_the_model(lag_hours: int, is_known: bool) -> None:
    """Its answer is the value of the row's own hour; with a shorter lag, which synth refuses, a later one."""
    found = made(FEATURES, is_changed=False)
    target_N = Regression().targets(found.table[LABEL])
    rows = LabelledRows(target_N=target_N, times_N=found.times_N, entity_N=[()] * len(target_N), test=found.parts.test)
    gate: Any = WORKLOAD.gates.baseline.model_copy(update={"lag_hours": lag_hours})
    naive = gate.answer(rows, Regression())
    own_T = found.part(found.parts.test)["pm2.5"].to_numpy(zero_copy_only=False).astype(np.float32)
    assert np.array_equal(naive.output_TW[:, 0], own_T[naive.rows_T]) is is_known


ROWS = 2_000_000
JUDGED = joined_load.labels.MOST_LABELS


@pytest.mark.night("some minutes; by day no decision becomes an object")
def test_two_million_decisions_and_labels_are_joined_in_the_functions_memory(
    names: WorkloadNames, cloud: Cloud
) -> None:
    """A third of the days are lines, a third absorbed ones and a third scored files. What counts is the most memory
    that the process had at a time (its resident set), with Python and all libraries."""
    stage = names.platform.stage
    joined_load.fill(cloud.client("s3"), joined_load.lake_of(stage), ROWS)
    found = joined_load.done_in_a_process(stage, "join")
    assert (found["rows"], found["unmatched"]) == (ROWS, 0)
    assert found["peak_mb"] <= SNAPSHOT.memory_mb


@pytest.mark.night("some minutes; by day answers are read in parts")
def test_the_most_labels_are_judged_in_the_functions_memory(names: WorkloadNames, cloud: Cloud) -> None:
    stage = names.platform.stage
    create_table(cloud.client("dynamodb"), names.platform.state_table)
    joined_load.fill(cloud.client("s3"), joined_load.lake_of(stage), JUDGED, ["absorbed", "lines"])
    found = joined_load.done_in_a_process(stage, "judge")
    assert (found["labels"], found["error"]) == (JUDGED, JUDGED)
    assert found["parts"]
    assert found["peak_mb"] <= VALIDATION.memory_mb


COLUMNS = ("at", "load", "open", "note", "sold")
IMAGE = TensorSpec(name="image", dtype="uint8", shape=(3, 10, 10))
PAST = TensorSpec(name="past", dtype="float32", shape=(24, 5))
OPEN = TensorSpec(name="words", dtype="int64", shape=(None,))


def write(folder: Path, name: str, table: pa.Table) -> None:
    fields = [
        field.with_metadata({"PARQUET:field_id": str(COLUMNS.index(field.name) + 1)})
        for field in table.schema
        if field.name in COLUMNS
    ]
    (folder / "data").mkdir(exist_ok=True)
    pq.write_table(pa.table(table.columns, schema=pa.schema(fields)), folder / "data" / name, compression="zstd")
    listed = [{"id": number, "name": column} for number, column in enumerate(COLUMNS, start=1)]
    (folder / "schema.json").write_text(json.dumps({"type": "struct", "fields": listed}))


def needed(folder: Path, *columns: str, signature: Signature = ()) -> tuple[int, int]:
    found = memory_of(folder, *columns, signature=signature)
    return found.rows, found.bytes


def memory_of(folder: Path, *columns: str, signature: Signature = ()) -> RowMemory:
    given = {"columns": (*columns, "at"), "labels": ("sold",), "index": ("at",)}
    return row_memory(folder / "data", folder / "schema.json", **given, signature=signature)


def rows(count: int, *, labelled: int) -> pa.Table:
    notes = pa.array([f"{number:08}" for number in range(count)])
    return pa.table({
        "at": pa.array(np.arange(count), pa.timestamp("us")),
        "load": np.zeros(count),
        "note": notes.cast(pa.string()),
        "sold": pa.array([1.0] * labelled + [None] * (count - labelled), pa.float64()),
    })  # fmt: skip


def test_numbers_count_by_their_width_and_text_as_it_is_stored(tmp_path: Path) -> None:
    write(tmp_path, "1.parquet", rows(1000, labelled=1000))
    write(tmp_path, "2.parquet", rows(500, labelled=0))
    # Zeros are a few bytes in the file and eight each in memory; of `open` no file has a cell.
    assert needed(tmp_path, "load", "open") == (1500, COPIES * 1500 * (8 + 8 + 8))
    count, of_text = needed(tmp_path, "note")
    assert count == 1500
    assert COPIES * 1500 * (8 + 8 + 8) <= of_text <= COPIES * 1500 * (8 + 8 + 20)


def test_histories_are_columns_too_and_rows_without_a_label_no_tensors(tmp_path: Path) -> None:
    write(tmp_path, "1.parquet", rows(1000, labelled=300))
    plain = needed(tmp_path, "load")[1]
    assert needed(tmp_path, "load", signature=(IMAGE, OPEN))[1] == plain + 300 * 300
    past = 24 * 5 * 4
    assert needed(tmp_path, "load", signature=(PAST,))[1] == plain + COPIES * 1000 * past + 300 * past


def test_in_files_only_key_time_label_and_places_stay_in_memory(tmp_path: Path) -> None:
    write(tmp_path, "1.parquet", rows(1000, labelled=300))
    found = memory_of(tmp_path, "load", "note", signature=(IMAGE, PAST))
    assert found.kept_bytes == 1000 * (COPIES * (8 + 8) + PLACES_BYTES)
    of_columns = memory_of(tmp_path, "load", "note").bytes / COPIES
    assert found.file_bytes == 2 * (of_columns + 1000 * 480) + 3 * 300 * (300 + 480)


def test_without_files_nothing_is_needed(tmp_path: Path) -> None:
    write(tmp_path, "1.parquet", rows(0, labelled=0))
    assert needed(tmp_path, "load") == (0, 0)
