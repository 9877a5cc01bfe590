"""What the footers tell of the rows, against the rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from millrace.datasets.memory import COPIES, PLACES_BYTES, RowMemory, row_memory
from millrace.features.signature import Signature, TensorSpec

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
