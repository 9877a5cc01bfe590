"""Rows that lie in files give the model that they give in memory, bit for bit, and take a part of its room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from millrace.artefact.artefact import Artefact, description_document, read_folder
from millrace.contract.load import load_contract
from millrace.datasets import row_files
from millrace.datasets.examples import Examples, examples, read_rows
from millrace.datasets.memory import rows_of
from millrace.errors import SnapshotError
from millrace.features import catalogue as encoders
from millrace.jobs.runtime import StopSignal, TrainingPlaces
from millrace.jobs.training.history import MOST_VERSIONS, span
from millrace.jobs.training.job import train
from millrace.jobs.training.setting import read_setting
from millrace.models import moments
from millrace.simulation.history import HISTORY_FILE, ROWS_FILE, STEP_DAYS, TRAIN_DAYS, LivedHistory
from millrace.workload.load import read_workload
from millrace.workload.training import Training
from tests.builders import NUMBER, column, columns
from tests.jobs import kinds, synthetic
from tests.jobs.conftest import CHILD, REPOSITORY, Snapshot, training_root, write_snapshot
from tests.jobs.synthetic import ROWS, contract, make_rows, workload

HOURS = 300_000
BESIDE_MB = 200
"""What the reading may take beside what the process has when it begins; in memory the rows take four times as much."""
CHILD_CODE = """
import resource, sys
from pathlib import Path
import torch
from millrace.contract.load import load_contract
from millrace.datasets.examples import examples, read_rows
from millrace.datasets.row_files import RowFiles
from millrace.features import catalogue
from millrace.workload.load import load_workload

data, config = Path(sys.argv[1]), Path(sys.argv[2])
files = RowFiles(folder=Path(sys.argv[3])) if len(sys.argv) > 3 else None
workload, contract = load_workload(config), load_contract(config)
features = catalogue.declare(workload.prediction.features, contract.rows)
now = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData:"))
limit = now * 1024 + BESIDE_MB * 10**6
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
declared = {"workload": workload, "features": features}
found = read_rows(data, config / "schema.json", **declared, contract=contract, files=files)
found = examples(found, **declared, files=files)
print(found.table.num_rows, found.table.nbytes)
""".replace("BESIDE_MB", str(BESIDE_MB))


def shop(folder: Path, task: str = "regression") -> Snapshot:
    parameters = {"hidden": [8], "epochs": 2, "batch_size": 64}
    gates = {**synthetic.workload(task)["gates"], "stability": {"max_spread": 0.5, "seeds": 1}}
    return synthetic.write_shop(folder, task, training={"parameters": parameters}, gates=gates)


def multilabel(folder: Path) -> Snapshot:
    return shop(folder, "multilabel")


def scans(folder: Path) -> Snapshot:
    document = kinds.scans_workload()
    document["training"]["parameters"] |= {"epochs": 1}
    document["training"]["split"] = {"by": "key_hash", "validation_share": 0.2, "test_share": 0.2}
    return write_snapshot(folder, kinds.scans(), kinds.scans_contract(), document)


def notes(folder: Path) -> Snapshot:
    document = kinds.notes_workload()
    document["training"]["parameters"] |= {"epochs": 1}
    return write_snapshot(folder, kinds.notes(), kinds.notes_contract(), document)


def load(folder: Path) -> Snapshot:
    document = kinds.load_workload()
    document["training"] |= {"family": "multiscale", "parameters": {"hidden": [8], "epochs": 1, "batch_size": 64}}
    return write_snapshot(folder, kinds.load(), kinds.load_contract(), document)


@pytest.mark.parametrize(
    "write",
    [
        shop,
        *(
            pytest.param(
                one,
                marks=pytest.mark.night(
                    "by day one table with numbers and words; the parts of rows in files have tests of their own"
                ),
            )
            for one in (multilabel, scans, notes, load)
        ),
    ],
)
def test_the_model_is_the_same_bit_for_bit(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    snapshot = write(tmp_path / "snapshot")
    # Several pieces, of other sizes than those of the network's sums.
    monkeypatch.setattr(row_files, "ROWS", 97)
    monkeypatch.setattr(moments, "PIECE_BYTES", 10_000)
    resident = trained(tmp_path / "resident", snapshot)
    assert "mapped" not in capsys.readouterr().out
    mapped = trained(tmp_path / "mapped", snapshot, too_large=True)
    assert "are mapped from files" in capsys.readouterr().out
    assert mapped.weights == resident.weights
    assert description_document(mapped.description) == description_document(resident.description)


def trained(root: Path, snapshot: Snapshot, *, too_large: bool = False) -> Artefact:
    places = TrainingPlaces(root=training_root(root, snapshot))
    setting = read_setting(places)
    data, schema = places.channel("data"), places.channel("config") / "schema.json"
    needed = rows_of(data, schema, setting.workload, setting.features)
    assert needed.kept_bytes < needed.bytes
    train(places, StopSignal(), memory=needed.bytes - 1 if too_large else None)
    assert {path.name for path in places.model.iterdir()} == {
        "model.json",
        "model.onnx",
        "weights.safetensors",
        "history.json",
    }
    return read_folder(places.model)


@pytest.mark.night("a limit of memory over a large table")
@pytest.mark.skipif(sys.platform != "linux", reason="a limit of what a process allocates")
def test_rows_in_files_take_a_part_of_the_room(tmp_path: Path) -> None:
    hour_N = np.arange(HOURS)
    rng = np.random.default_rng(0)
    table = pa.table({
        "at": pa.array(hour_N * 3_600_000_000, pa.timestamp("us")),
        "load": rng.normal(0, 1, HOURS),
        "wind": rng.normal(5, 2, HOURS),
    })  # fmt: skip
    document = kinds.load_workload()
    document["prediction"]["features"][1]["hours"] = 96
    snapshot = write_snapshot(tmp_path / "snapshot", table, kinds.load_contract(), document)
    ended = read_limited(snapshot, str(tmp_path / "files"))
    assert ended.returncode == 0, ended.stderr
    rows, size = map(int, ended.stdout.split()[-2:])
    assert rows > 0.99 * HOURS
    assert size > BESIDE_MB * 1e6, "the rows alone are more than the limit"
    assert "MemoryError" in read_limited(snapshot).stderr


def read_limited(snapshot: Snapshot, *folder: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CHILD_CODE, str(snapshot.data), str(snapshot.config), *folder],
        cwd=REPOSITORY,
        env={**CHILD, "ARROW_DEFAULT_MEMORY_POOL": "system"},
        capture_output=True,
        text=True,
        timeout=300,
    )


STEP = 11
"""So many days apart one version learns from the days of a walk-forward model."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training job's folders with the rows in both forms; the model before has learnt from all days."""
    folder = tmp_path_factory.mktemp("history")
    document = workload("multiclass", training={"train_days": 40, "walk_forward_steps": 2})
    snapshot = write_snapshot(folder, make_rows("multiclass"), contract("multiclass"), document)
    root = training_root(folder / "ml", snapshot)
    with pa.OSFile(str(snapshot.data / ROWS_FILE), "wb") as file:
        rows = make_rows("multiclass")
        with pa.ipc.new_file(file, rows.schema) as writer:
            writer.write_table(rows)
    return root


def made(root: Path, train_days: list[int | None], step: int) -> LivedHistory:
    given = {TRAIN_DAYS: json.dumps(train_days), STEP_DAYS: str(step)}
    (root / "input" / "config" / "hyperparameters.json").write_text(json.dumps(given))
    # In a process of its own, as `millrace simulate` runs it: forks of a process that has computed may hang.
    command = [sys.executable, "-m", "millrace.jobs.training", "history"]
    done = subprocess.run(
        command, env={**os.environ, "MILLRACE_ML_ROOT": str(root)}, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    return LivedHistory.read(root / "model" / HISTORY_FILE)


def test_the_errors_are_those_of_the_walk_forward(root: Path) -> None:
    history = made(root, [40, None], STEP)
    (root / "input" / "config" / "hyperparameters.json").unlink()
    (root / "model" / HISTORY_FILE).unlink()
    train(TrainingPlaces(root=root), StopSignal())
    frozen = read_folder(root / "model").description.walk_forward
    assert len(frozen) == 2
    assert history.rows_D.sum() == sum(
        1 for at in make_rows("multiclass")["at"].to_pylist() if str(at) >= history.first
    )
    compared = 0
    for model in frozen:
        day = int((np.datetime64(model.weeks[0].start[:10]) - np.datetime64(history.first)) / np.timedelta64(1, "D"))
        if day % STEP:
            continue
        for week in model.weeks:
            first, last = (
                int((np.datetime64(at[:10]) - np.datetime64(history.first)) / np.timedelta64(1, "D"))
                for at in (week.start, week.end)
            )
            errors = history.errors_KVD[0, day // STEP, first:last].sum() / history.rows_D[first:last].sum()
            assert errors == pytest.approx(week.error)
            compared += 1
    assert compared
    # All days are another model than the last 40.
    assert not np.array_equal(history.errors_KVD[0], history.errors_KVD[1])
    # A version has no errors before its own test days.
    assert not history.errors_KVD[0, 3, : 3 * STEP].any()


def test_a_history_without_a_second_version_is_refused(root: Path) -> None:
    with pytest.raises(AssertionError, match="two steps of 400 days"):
        made(root, [None], 400)


@pytest.mark.parametrize(
    ("first_rows", "before"),
    [(200, 200), (500, 500), (900, 500), (5_000, 500)],  # what `millrace new` declares is nine in ten rows
)
def test_at_most_a_half_of_the_rows_comes_before_the_first_version(first_rows: int, before: int) -> None:
    times_N = np.datetime64("2020-01-01T12:00") + np.arange(1000) * np.timedelta64(1, "D")
    training = Training.model_validate(workload("multiclass", training={"first_rows": first_rows})["training"])
    first, days = span(times_N, training, 7)
    assert (first, days) == (
        np.datetime64("2020-01-01") + before - training.test_days,
        1000 - before + training.test_days,
    )


def test_of_a_long_history_the_newest_steps_count() -> None:
    times_N = np.datetime64("2020-01-01T12:00") + np.arange(1000) * np.timedelta64(1, "D")
    training = Training.model_validate(workload("multiclass")["training"])
    assert span(times_N, training, 1) == (np.datetime64("2020-01-01") + 1000 - MOST_VERSIONS, MOST_VERSIONS)


UNLABELLED = 300


def examples_of(folder: Path, *, required: bool = False, derived: str = "") -> Examples:
    """Of rows without some labels, and without the column that the contract derives by now."""
    declared, rows, document = contract("regression"), make_rows("regression"), workload("regression")
    for label in columns(declared, "sold"):
        label["required"] = required
    if derived:
        twice = column("twice", NUMBER, required=False, transformLogic=derived)
        declared["schema"][0]["properties"].append(twice)
        document["prediction"]["features"].append("twice")
    labels = rows["sold"].to_pylist()
    labels[:UNLABELLED] = [None] * UNLABELLED
    place = rows.column_names.index("sold")
    rows = rows.set_column(place, rows.schema.field(place), pa.array(labels, rows.schema.field(place).type))
    config = (snapshot := write_snapshot(folder, rows, declared, document)).config
    declaration, known = read_workload(config / "workload.yaml"), load_contract(config)
    features = encoders.declare(declaration.prediction.features, known.rows)
    given = {"workload": declaration, "features": features}
    return examples(read_rows(snapshot.data, config / "schema.json", contract=known, **given), **given)


def test_a_column_is_derived_in_older_rows_too(tmp_path: Path) -> None:
    table = examples_of(tmp_path, derived="load + load").table
    assert table["twice"].null_count == table["load"].null_count > 0
    assert pc.all(pc.equal(table["twice"], pc.multiply(table["load"], 2))).as_py()


def test_they_are_left_out_where_the_contract_does_not_require_a_label(tmp_path: Path) -> None:
    assert examples_of(tmp_path, required=False).table.num_rows == ROWS - UNLABELLED


def test_where_it_does_they_stop_the_training(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=rf"got none in sold: {UNLABELLED} rows"):
        examples_of(tmp_path, required=True)
