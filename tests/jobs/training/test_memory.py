"""Rows that the machine cannot hold are refused before they are read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.datasets.memory import RowMemory, check_memory, machine_memory, row_files, rows_of
from millrace.datasets.volume import bytes_of_rows, volume_gb
from millrace.errors import SnapshotError, TrainingError
from millrace.features import catalogue as encoders
from millrace.jobs.runtime import TrainingPlaces
from millrace.jobs.training.setting import read_setting
from tests.jobs.conftest import REPOSITORY, Snapshot
from tests.jobs.run_document import run_document

SHAPE = 2048
ROWS = 2_000_000
"""Of 4.2 MB each: 8 TB."""
NAMES = ("id", "at", "split", "image", "label")


NEEDED = RowMemory(rows=1_000_000, bytes=8_000_000_000, kept_bytes=100_000_000, file_bytes=1_000_000)


def test_what_fits_into_the_memory_to_the_byte_stays_there(tmp_path: Path, capsys: Any) -> None:
    assert row_files(NEEDED, tmp_path, processes=1, memory=8_000_000_000) is None
    assert row_files(NEEDED, tmp_path, processes=2, memory=16_000_000_000) is None
    assert not capsys.readouterr().out
    assert row_files(NEEDED, tmp_path / "model", processes=1, memory=7_999_999_999) is not None
    assert "1,000,000 rows that take 8.0 GB of memory are mapped from files of 0.0 GB" in capsys.readouterr().out
    assert row_files(NEEDED, tmp_path, processes=2, memory=8_000_000_000) is not None


def test_what_neither_memory_nor_volume_has_room_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"labels do with 0\.2 GB and .* take 16\.0 GB of memory.* each of 2 processes"
    ):
        row_files(NEEDED, tmp_path, processes=2, memory=199_999_999)
    large = replace(NEEDED, file_bytes=10**18)
    with pytest.raises(
        TrainingError, match=r"files of 1,000,000,000\.0 GB its volume holds, got 1,000,000 rows .* on the volume"
    ):
        row_files(large, tmp_path, processes=1, memory=7_000_000_000)


def test_an_evaluation_has_no_files() -> None:
    check_memory(NEEDED, memory=8_000_000_000)
    with pytest.raises(SnapshotError, match=r"memory of 8\.0 GB, got 1,000,000 that take 8\.0 GB at least"):
        check_memory(NEEDED, memory=7_999_999_999)


def test_a_container_s_own_limit_counts(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    whole = machine_memory(limit)
    assert whole > 1e9
    limit.write_text("max\n")
    assert machine_memory(limit) == whole
    limit.write_text("1000000\n")
    assert machine_memory(limit) == 1_000_000


def test_of_real_rows_it_is_less_than_was_measured(
    snapshot_1996: Any, training_at: Callable[..., Path], tmp_path: Path
) -> None:
    places = TrainingPlaces(root=training_at(tmp_path / "ml", snapshot_1996))
    setting = read_setting(places)
    found = rows_of(
        places.channel("data"), places.channel("config") / "schema.json", setting.workload, setting.features
    )
    assert found.rows == 11_472
    assert 250 < found.bytes / found.rows < 317
    stored = sum(path.stat().st_size for path in places.channel("data").rglob("*.parquet"))
    volume = bytes_of_rows(stored, found.rows, encoders.signature(setting.features), processes=2)
    assert stored + 2 * found.file_bytes < volume < 6 * found.file_bytes


def test_a_volume_grows_with_what_a_job_reads_to_the_most_there_is() -> None:
    assert [volume_gb(size) for size in (0, 1, 2**30, 10 * 2**30 + 1)] == [30, 31, 31, 41]
    with pytest.raises(SnapshotError, match=r"volume of 16,384 GB, got what needs 17,030 GB"):
        volume_gb(17_000 * 2**30)


def test_a_training_says_so_before_it_reads(training_at: Callable[..., Path], run_job: Any, tmp_path: Path) -> None:
    """Images of which the contract says how large they are; the rows' files have none, and would take no room."""
    root = training_at(tmp_path / "ml", large_images(tmp_path))
    ended = run_job("millrace.jobs.training", root, "train")
    assert ended.code == 1
    failure = (root / "output" / "failure").read_text()
    assert failure.startswith("TrainingError: expected rows that fit into this machine's memory of ")
    assert f", got {ROWS:,} rows that take 8,3" in failure
    assert "left out" not in ended.output


def large_images(folder: Path) -> Snapshot:
    snapshot = Snapshot(data=folder / "data", config=folder / "config")
    snapshot.data.mkdir()
    shutil.copytree(REPOSITORY / "workloads" / "xray", snapshot.config, ignore=shutil.ignore_patterns("sample"))
    contract = (snapshot.config / "contract.yaml").read_text()
    assert contract.count("shape: [28, 28]") == 1
    (snapshot.config / "contract.yaml").write_text(contract.replace("[28, 28]", f"[{SHAPE}, {SHAPE}]"))
    columns = [
        pa.array(np.zeros(ROWS, np.int8)).cast(pa.string()),
        pa.array(np.zeros(ROWS, np.int64), pa.timestamp("us", "UTC")),
        pa.nulls(ROWS, pa.string()),
        pa.nulls(ROWS, pa.binary()),
        pa.array(np.zeros(ROWS, np.int32)),
    ]
    fields = [
        pa.field(name, column.type, metadata={"PARQUET:field_id": str(number)})
        for number, (name, column) in enumerate(zip(NAMES, columns, strict=True), start=1)
    ]
    pq.write_table(pa.table(columns, schema=pa.schema(fields)), snapshot.data / "0.parquet")
    listed = [{"id": number, "name": name} for number, name in enumerate(NAMES, start=1)]
    (snapshot.config / "schema.json").write_text(json.dumps({"type": "struct", "fields": listed}))
    (snapshot.config / "run.json").write_text(json.dumps(run_document(rows=ROWS, as_of="2026-06-01T00:00:00Z")))
    return snapshot
