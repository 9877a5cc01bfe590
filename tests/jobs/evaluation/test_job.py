from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
from onnx import numpy_helper
from safetensors.numpy import load, save

from millrace.artefact.artefact import Artefact, digest, read_folder
from millrace.datasets import memory
from millrace.errors import SnapshotError
from millrace.evaluation.report import Evaluation
from millrace.jobs.evaluation import job
from millrace.jobs.runtime import ProcessingPlaces
from millrace.monitoring.baseline import Baseline
from millrace.workload.load import load_workload
from tests.archives import write_archive

REPOSITORY = Path(__file__).resolve().parents[3]
WORKLOAD = load_workload(REPOSITORY / "workloads" / "electricity")

Prepare = Callable[..., Path]


@pytest.fixture
def prepare(tmp_path: Path, snapshot_1996: Any) -> Prepare:
    """A folder that stands for /opt/ml of an evaluation job."""

    def make(artefact: Artefact, champion: Artefact | None = None, snapshot: Any = snapshot_1996) -> Path:
        root = tmp_path / "ml"
        for name, one in (("model", artefact), ("champion", champion)):
            if one:
                (root / "processing" / name).mkdir(parents=True)
                write_archive(root / "processing" / name / "model.tar.gz", one)
        (root / "processing" / "data").symlink_to(snapshot.data)
        (root / "processing" / "config").symlink_to(snapshot.config)
        return root

    return make


@pytest.fixture(scope="module")
def artefact(model_1996: Path) -> Artefact:
    return read_folder(model_1996)


@pytest.fixture(scope="module")
def june(make_snapshot: Any, training_at: Any, run_job: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The snapshot to 1 June 1997 and the model that is trained on it after the alarm, without the walk forward."""
    folder = tmp_path_factory.mktemp("june")
    until = datetime.fromisoformat("1997-06-01")
    snapshot = make_snapshot(folder, until, reason="alarm", gate="non_inferiority")
    ended = run_job("millrace.jobs.training", training_at(folder / "ml", snapshot, epochs="30"), "train")
    assert ended.code == 0, ended.output
    return snapshot, read_folder(folder / "ml" / "model")


def test_rows_beyond_the_memory_are_refused_before_they_are_read(
    prepare: Prepare, artefact: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "machine_memory", lambda: 1_000_000)
    monkeypatch.setattr(job, "read_rows", lambda *_: pytest.fail("rows were read"))
    with pytest.raises(SnapshotError, match=r"memory of 0\.0 GB, got 11,472 that take"):
        job.evaluate(ProcessingPlaces(root=prepare(artefact)), champion_version="1")


def evaluation(root: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((root / "processing/evaluation/evaluation.json").read_text())
    return document


def changed(artefact: Artefact, change: Callable[[dict[str, np.ndarray]], None]) -> Artefact:
    """The artefact with other weights, in the graph as well, and digests that say so."""
    weights = load(artefact.weights)
    change(weights)
    graph = onnx.load_from_string(artefact.onnx)
    for constant in graph.graph.initializer:
        name = constant.name.removeprefix("predictor.")
        if name in weights:
            constant.CopyFrom(numpy_helper.from_array(weights[name], constant.name))
    packed, onnx_bytes = save(weights), graph.SerializeToString()
    digests = dataclasses.replace(artefact.description.digests, weights=digest(packed), onnx=digest(onnx_bytes))
    description = dataclasses.replace(artefact.description, digests=digests)
    return dataclasses.replace(artefact, description=description, weights=packed, onnx=onnx_bytes)


def redeclare(root: Path, snapshot: Any, words: str, others: str) -> None:
    """Change the one place of the job's workload.yaml that has these words."""
    config = root / "processing" / "config"
    config.unlink()
    shutil.copytree(snapshot.config, config)
    text = (config / "workload.yaml").read_text()
    assert text.count(words) == 1
    (config / "workload.yaml").write_text(text.replace(words, others))


def test_the_first_model_passes_its_declared_gates(prepare: Prepare, artefact: Artefact, run_job: Any) -> None:
    root = prepare(artefact)
    ended = run_job("millrace.jobs.evaluation", root)
    assert ended.code == 0, ended.output
    found = evaluation(root)
    figures, gates = found["metrics"], WORKLOAD.gates
    assert found["rows"] == {"test": 28 * 48}
    assert found["split"] == {"from": "1996-12-04", "to": "1997-01-01"}
    naive = found["naive"]
    assert (naive["rule"], naive["rows"]) == ("seasonal_naive", 28 * 48)
    assert figures["error"] < naive["metrics"]["error"] - gates.baseline.margin
    assert figures["error"] == pytest.approx(1 - figures["accuracy"])
    assert figures["ece"] < gates.calibration.max_ece
    assert found["latency_ms"]["p99"] < gates.latency.max_p99_ms
    assert found["size_mb"] < gates.size.max_mb
    assert found["finite_weights"] is True
    assert found["champion"] is None
    assert Evaluation.model_validate(found).metrics == figures
    assert found["intervals"].keys() == figures.keys() - {"ece"}, "every figure but a sum of distances"
    assert all(one["low"] < one["value"] == figures[name] < one["high"] for name, one in found["intervals"].items())
    assert found["intervals"]["error"] == found["contenders"][0]["scores"]["error"], "one interval of a figure"
    mistakes = {(one["truth"], one["answered"]): one["rows"] for one in found["mistakes"]}
    assert mistakes.keys() == {("1", "not 1"), ("not 1", "1")}
    assert sum(mistakes.values()) == round(figures["error"] * 28 * 48)
    assert naive["metrics"]["accuracy"] == pytest.approx(0.594, abs=0.001)
    assert figures["accuracy"] == pytest.approx(0.86, abs=0.02)
    assert sum(one["rows"] for one in found["reliability"]) == 28 * 48
    assert [week["rows"] for week in found["weekly_error"]] == [336] * 4
    mean_error = np.mean([week["error"] for week in found["weekly_error"]])
    assert mean_error == pytest.approx(1 - figures["accuracy"])


def test_weights_that_are_no_numbers_are_reported(prepare: Prepare, artefact: Artefact, run_job: Any) -> None:
    def spoil(weights: dict[str, np.ndarray]) -> None:
        weights["network.head.bias"] *= np.nan

    root = prepare(changed(artefact, spoil))
    ended = run_job("millrace.jobs.evaluation", root)
    assert ended.code == 0, ended.output
    found = evaluation(root)
    assert found["finite_weights"] is False
    assert np.isnan(found["metrics"]["ece"])


def test_after_the_alarm_the_challenger_is_not_inferior(
    prepare: Prepare, artefact: Artefact, june: Any, run_job: Any
) -> None:
    snapshot, challenger = june
    root = prepare(challenger, champion=artefact, snapshot=snapshot)
    assert run_job("millrace.jobs.evaluation", root, MILLRACE_CHAMPION_VERSION="1").code == 0
    found = evaluation(root)
    compared = found["champion"]
    assert compared["model_version"] == "1"
    assert compared["rows"] == 28 * 48
    assert compared["challenger_error"] == pytest.approx(found["metrics"]["error"])
    assert compared["difference"] == pytest.approx(compared["error"] - compared["challenger_error"])
    assert compared["lower_bound"] > -WORKLOAD.gates.non_inferiority.margin


def test_the_comparison_takes_the_recent_days_of_the_gate(
    prepare: Prepare, artefact: Artefact, june: Any, run_job: Any, tmp_path: Path
) -> None:
    snapshot, challenger = june
    root = prepare(challenger, champion=artefact, snapshot=snapshot)
    redeclare(root, snapshot, "recent_days: 28", "recent_days: 14")
    assert run_job("millrace.jobs.evaluation", root).code == 0
    assert evaluation(root)["champion"]["rows"] == 14 * 48


def test_a_declared_bound_of_the_error_is_not_calibrated(
    prepare: Prepare, artefact: Artefact, june: Any, run_job: Any
) -> None:
    snapshot, challenger = june
    root = prepare(challenger, champion=artefact, snapshot=snapshot)
    redeclare(root, snapshot, "error_windows: 3", "error_windows: 2\n  error_bound: 0.27")
    assert run_job("millrace.jobs.evaluation", root).code == 0
    watched = Baseline.from_json((root / "processing/baseline/baseline.json").read_text())
    assert watched.error
    assert (watched.error.bound, watched.error.windows) == (0.27, 2)


def test_predictions_are_kept_row_by_row(prepare: Prepare, artefact: Artefact, run_job: Any) -> None:
    root = prepare(artefact)
    assert run_job("millrace.jobs.evaluation", root).code == 0
    kept = pq.read_table(root / "processing/evaluation/predictions.parquet")
    assert kept.column_names == ["timestamp", "class", "answer_value", "answer_probability", "answer_confidence"]
    right = (kept["answer_probability"].to_numpy() >= 0.5) == (kept["class"].to_numpy() == 1)
    assert right.mean() == pytest.approx(evaluation(root)["metrics"]["accuracy"])


@pytest.mark.parametrize("word", ["data", "contract", "config"])
def test_a_model_of_other_origin_is_refused(prepare: Prepare, artefact: Artefact, run_job: Any, word: str) -> None:
    digests = dataclasses.replace(artefact.description.digests, **{word: "other"})
    description = dataclasses.replace(artefact.description, digests=digests)
    root = prepare(dataclasses.replace(artefact, description=description))
    assert run_job("millrace.jobs.evaluation", root).code == 1
    told = (root / "output" / "message").read_text()
    assert told == f"ArtefactError: model.json: digest of {word}: expected the run's {word}, got other"


def test_no_torch_is_needed() -> None:
    code = "import sys, millrace.jobs.evaluation.job; sys.exit('torch' in sys.modules or 'boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0
