"""Rows that lie in files give the model that they give in memory, bit for bit, and take a part of its room."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from millrace.artefact.artefact import Artefact, description_document, read_folder
from millrace.datasets import row_files
from millrace.datasets.memory import rows_of
from millrace.jobs.runtime import StopSignal, TrainingPlaces
from millrace.jobs.training.job import train
from millrace.jobs.training.setting import read_setting
from millrace.models import moments
from tests.jobs import kinds, synthetic
from tests.jobs.conftest import CHILD, REPOSITORY, Snapshot, training_root, write_snapshot

HOURS = 300_000
BESIDE_MB = 200
"""What the reading may take beside what the process has when it begins; in memory the rows take four times as much."""
CHILD_CODE = """
import resource, sys
from pathlib import Path
import torch
from millrace.contract.load import load_contract
from millrace.datasets.examples import read_examples
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
declared = {"workload": workload, "contract": contract, "features": features}
found = read_examples(data, config / "schema.json", **declared, files=files)
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
