"""The errors of versions of earlier days are those that the training job's own walk forward finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from millrace.artefact.artefact import read_folder
from millrace.jobs.runtime import StopSignal, TrainingPlaces
from millrace.jobs.training.history import MOST_VERSIONS, span
from millrace.jobs.training.job import train
from millrace.simulation.history import HISTORY_FILE, ROWS_FILE, STEP_DAYS, TRAIN_DAYS, LivedHistory
from millrace.workload.training import Training
from tests.jobs.conftest import training_root, write_snapshot
from tests.jobs.synthetic import contract, make_rows, workload

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
        day = int((np.datetime64(model.trained_until[:10]) - np.datetime64(history.first)) / np.timedelta64(1, "D"))
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
