from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from millrace.artefact.artefact import Digests, digest, read_folder
from millrace.datasets.split import Split
from millrace.jobs.runtime import StopSignal, TrainingPlaces
from millrace.jobs.training.job import train
from millrace.jobs.training.setting import read_setting, with_hyperparameters
from millrace.workload.load import load_workload
from tests.jobs.conftest import CHILD, training_root, write_elec2, write_snapshot
from tests.jobs.synthetic import contract, make_rows, workload

REPOSITORY = Path(__file__).resolve().parents[3]


def test_leaves_an_artefact_that_can_be_trusted(model_1996: Path, snapshot_1996: Any) -> None:
    artefact = read_folder(model_1996)
    description = artefact.description
    assert description.columns[:3] == ("day_of_week", "period", "nswprice")
    assert description.label == "class"
    assert description.digests.data == "data"
    assert description.digests.onnx == digest(artefact.onnx)
    assert 0.3 < description.temperature < 3
    history = json.loads(artefact.history)
    of_machine = {"seconds", "cpu_s", "memory_mb", "gpu_memory_mb"}
    assert history[0].keys() == {"epoch", "train_loss", "validation_loss", "validation_error", *of_machine}
    assert 0 < history[0]["cpu_s"] <= history[-1]["cpu_s"]
    assert 100 < history[0]["memory_mb"] <= history[-1]["memory_mb"] < 100_000
    assert history[-1]["gpu_memory_mb"] == 0


def test_statistics_are_those_of_the_training_days_only(model_1996: Path, snapshot_1996: Any) -> None:
    rows = pq.read_table(REPOSITORY / "workloads/electricity/sample/elec2.parquet")
    stamps, prices = rows["timestamp"].to_numpy(), rows["nswprice"].to_numpy()
    weights = load_file(model_1996 / "weights.safetensors")
    seen = prices[stamps < np.datetime64("1996-11-06")]
    assert weights["network.mean_F"][2] == pytest.approx(seen.mean(), rel=1e-5)
    assert weights["network.scale_F"][2] == pytest.approx(1 / seen.std(), rel=1e-5)
    assert weights["network.mean_F"][2] != pytest.approx(prices[stamps < np.datetime64("1997-01-01")].mean(), rel=1e-4)


def test_walk_forward_models_have_not_seen_what_they_are_judged_on(model_1996: Path) -> None:
    frozen = read_folder(model_1996).description.walk_forward
    assert [model.weeks[0].start for model in frozen] == ["1996-08-14", "1996-09-11", "1996-10-09", "1996-11-06"]
    for model in frozen:
        assert model.weeks[-1].end == "1997-01-01"
        assert all(0 < week.error < 0.5 for week in model.weeks)


ONE_AT_A_TIME = """
import runpy
from millrace.jobs.training import loop
loop.trainings_at_once = lambda *_: 1
runpy.run_module("millrace.jobs.training", run_name="__main__")
"""


@pytest.mark.night("the walk forward's models three times over; by day its error is tested")
def test_the_models_of_earlier_days_are_the_same_beside_the_training_and_after_it(
    model_1996: Path, snapshot_1996: Any, training_at: Any, tmp_path: Path
) -> None:
    root = training_at(tmp_path / "ml", snapshot_1996)
    environment = {**CHILD, "MILLRACE_ML_ROOT": str(root)}
    subprocess.run([sys.executable, "-c", ONE_AT_A_TIME, "train"], cwd=REPOSITORY, env=environment, check=True)
    beside, after = (read_folder(folder).description.walk_forward for folder in (model_1996, root / "model"))
    assert beside == after
    assert len(beside) == 4


@pytest.mark.parametrize(
    "changed", ["data_digest", "config_digest", "code_digest", "parameters", "features", "split", "task"]
)
def test_a_checkpoint_is_of_the_very_training(
    changed: str, snapshot_1996: Any, training_at: Any, tmp_path: Path
) -> None:
    """Of other rows, declarations, code, hyperparameters, encoders or parts it is another one's."""
    setting, day = read_setting(TrainingPlaces(root=training_at(tmp_path, snapshot_1996))), np.datetime64("1996-12-01")
    parts = Split(
        train=slice(0, 4), validation=slice(4, 6), test=slice(6, 8), validation_from=day, test_from=day, end=day
    )
    other, fitted, its_parts = setting, setting.features, parts
    if changed == "parameters":
        training = setting.workload.training
        update = {"training": training.model_copy(update={"parameters": training.parameters | {"seed": 8}})}
        other = replace(setting, workload=setting.workload.model_copy(update=update))
    elif changed == "features":
        fitted = fitted[:-1]
    elif changed == "split":
        its_parts = replace(parts, train=slice(1, 4))
    elif changed == "task":
        other = replace(setting, task=replace(setting.task, threshold=0.4))
    else:
        other = replace(setting, run=setting.run.model_copy(update={changed: "another"}))
    assert other.identity(fitted, its_parts) != setting.identity(setting.features, parts)
    assert setting.identity(setting.features, parts) == setting.identity(setting.features, parts)


def test_a_snapshot_that_is_too_short_fails_and_says_why(tmp_path: Path, run_job: Any, training_at: Any) -> None:
    root = training_at(tmp_path / "ml", write_elec2(tmp_path / "short", datetime.fromisoformat("1996-06-15")))
    ended = run_job("millrace.jobs.training", root)
    assert ended.code == 1
    failure = (root / "output" / "failure").read_text()
    assert failure.startswith("SnapshotError: expected rows to train on before 1996-04-20")
    assert not (root / "model").exists()


def test_a_missing_channel_fails_and_says_which(
    tmp_path: Path, snapshot_1996: Any, run_job: Any, training_at: Any
) -> None:
    root = training_at(tmp_path / "ml", snapshot_1996)
    (root / "input" / "config" / "inputdataconfig.json").write_text('{"config": {}}')
    assert run_job("millrace.jobs.training", root).code == 1
    assert "data: expected a channel of this name, got ['config']" in (root / "output" / "failure").read_text()


def test_hyperparameters_of_the_job_change_those_of_the_declaration() -> None:
    """As a tuning job hands them: text, numbers in any form, words of the platform's own among them."""
    declared = load_workload(REPOSITORY / "workloads" / "electricity")
    given = {"learning_rate": "1.5E-4", "hidden": "[8, 8]", "schedule": "cosine", "workload": "electricity", "run": "t"}
    changed = with_hyperparameters(declared, {**given, "_tuning_objective_metric": "kept:error"}).training
    found = changed.family_parameters().model_dump()
    assert (found["learning_rate"], found["hidden"], found["schedule"]) == (1.5e-4, (8, 8), "cosine")
    assert found["batch_size"] == declared.training.parameters["batch_size"]
    assert changed.walk_forward_steps == 0
    assert with_hyperparameters(declared, {"workload": "electricity", "run": "train-1"}) is declared


def test_the_same_rows_make_the_same_model_however_they_came(tmp_path: Path) -> None:
    rows, training = make_rows("regression"), {"parameters": {"hidden": [8], "epochs": 2}, "walk_forward_steps": 1}
    mixed = rows.take(np.random.default_rng(7).permutation(len(rows)))

    def digests(name: str, table: pa.Table) -> Digests:
        made = contract("regression"), workload("regression", training=training)
        snapshot = write_snapshot(tmp_path / name, table, *made, data_digest=name)
        places = TrainingPlaces(root=training_root(tmp_path / name / "ml", snapshot))
        train(places, StopSignal())
        return read_folder(places.model).description.digests

    first, again, fewer = digests("first", rows), digests("again", mixed), digests("fewer", rows.slice(1))
    assert replace(again, data="first") == first
    assert {first.examples, first.weights}.isdisjoint({fewer.examples, fewer.weights})
