"""A training of a network with boosted trees beside it, on the logarithm of the label; then its evaluation."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from millrace.artefact.artefact import Artefact, read_folder
from millrace.artefact.inference import Model
from millrace.features import catalogue as encoders
from millrace.jobs.runtime import Stopped
from millrace.jobs.training.beside import Beside
from tests.builders import columns
from tests.jobs.conftest import Snapshot, write_snapshot
from tests.jobs.processing import evaluated
from tests.jobs.synthetic import contract, make_rows, workload
from tests.localcloud.waiting import until

PARAMETERS = {"hidden": [32], "epochs": 12, "batch_size": 64, "learning_rate": 0.01, "label_scale": "log"}


def training(folder: Path, run_job: Any, training_at: Any, trees: str) -> tuple[Snapshot, Artefact]:
    """Of amounts that are never negative, as the contract says."""
    rows = make_rows("regression")
    amounts = pa.array(np.exp(rows["sold"].to_numpy() / 2500))
    rows = rows.set_column(rows.column_names.index("sold"), "sold", amounts)
    declared = contract("regression")
    for label in columns(declared, "sold"):
        label["logicalTypeOptions"] = {"minimum": 0, "maximum": 40}
    document = workload("regression", training={"parameters": PARAMETERS | {"trees": trees}})
    document["gates"]["simple"] = {"kind": "boosted_trees", "otherwise": "warn"}
    snapshot = write_snapshot(folder, rows, declared, document)
    ended = run_job("millrace.jobs.training", training_at(folder / "ml", snapshot))
    assert ended.code == 0, ended.output
    return snapshot, read_folder(folder / "ml" / "model")


@pytest.fixture(scope="module")
def mean(run_job: Any, training_at: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, Artefact]:
    return training(tmp_path_factory.mktemp("mean"), run_job, training_at, "mean")


def test_each_part_and_a_linear_model_stand_beside_the_answer(mean: tuple[Snapshot, Artefact], tmp_path: Path) -> None:
    snapshot, artefact = mean
    found = evaluated(tmp_path, snapshot, artefact)
    beside = {one.name: one.scores["error"].value for one in found.contenders if one.who == "beside"}
    assert set(beside) == {"network alone", "trees alone", "linear"}
    own = found.contenders[0].scores["error"].value
    assert own < (beside["network alone"] + beside["trees alone"]) / 2, "an error of a mean is below the mean of errors"
    assert found.explanations is not None
    assert found.metrics["r2"] > 0.8  # type: ignore[operator]


def test_trees_alone_are_a_model_too(run_job: Any, training_at: Any, tmp_path: Path) -> None:
    _, artefact = training(tmp_path, run_job, training_at, "alone")
    assert artefact.history.count(b'"epoch"') == 1
    model, rows = Model(artefact), make_rows("regression")
    outputs = model.outputs(encoders.encode(artefact.description.features, rows))[:, 0]
    truth = np.exp(rows["sold"].to_numpy() / 2500)
    assert model.parts == ()
    assert np.corrcoef(outputs, truth)[0, 1] > 0.9


def noted(folder: Path, number: int) -> int:
    """Its square; the process that was called is noted."""
    with (folder / str(number)).open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(0.02)
    return number**2


def calls(folder: Path, count: int = 6) -> list[Callable[[], int]]:
    return [partial(noted, folder, number) for number in range(count)]


def made_by(folder: Path) -> list[list[int]]:
    """The processes of each call."""
    found = sorted(folder.iterdir(), key=lambda path: int(path.name))
    return [[int(line) for line in path.read_text().split()] for path in found]


@pytest.mark.parametrize("processes", [1, 2, 3, 40])
def test_each_is_made_once(processes: int, tmp_path: Path) -> None:
    with Beside(calls(tmp_path), processes=processes) as shared:
        assert shared.results() == (0, 1, 4, 9, 16, 25)
    made = made_by(tmp_path)
    assert {len(each) for each in made} == {1}
    others = {process for each in made for process in each} - {os.getpid()}
    assert len(others) <= min(processes - 1, 6)
    assert bool(others) is (processes > 1)


def test_forks_work_while_this_process_does_other_things(tmp_path: Path) -> None:
    with Beside(calls(tmp_path), processes=2) as shared:
        until(lambda: len(list(tmp_path.iterdir())) == 6, limit_s=60)
        assert shared.results() == (0, 1, 4, 9, 16, 25)
    assert os.getpid() not in {process for each in made_by(tmp_path) for process in each}


def test_what_a_killed_fork_left_is_made_here(tmp_path: Path) -> None:
    def slow() -> int:
        if os.getpid() != this:
            (tmp_path / "fork").write_text(str(os.getpid()))
            time.sleep(600)
        return 7

    this = os.getpid()
    with Beside([slow], processes=2) as shared:
        until(lambda: (tmp_path / "fork").exists() and (tmp_path / "fork").read_text(), limit_s=60)
        os.kill(int((tmp_path / "fork").read_text()), signal.SIGKILL)
        assert shared.results() == (7,)


def test_no_fork_is_left_behind(tmp_path: Path) -> None:
    def sleep() -> None:
        (tmp_path / str(os.getpid())).touch()
        time.sleep(600)

    with Beside([sleep], processes=2):
        until(lambda: list(tmp_path.iterdir()), limit_s=60)
    (fork,) = tmp_path.iterdir()
    assert not Path(f"/proc/{fork.name}").exists()
    with Beside([], processes=4) as shared:
        assert shared.results() == ()


def test_a_stop_does_not_wait_for_a_fork(tmp_path: Path) -> None:
    """The signal comes to this process alone, while it waits; the fork would take ten minutes."""

    def sleep() -> None:
        (tmp_path / "fork").touch()
        time.sleep(600)

    told = threading.Event()
    with Beside([sleep], processes=2) as shared:
        until((tmp_path / "fork").exists, limit_s=60)
        threading.Timer(1, told.set).start()
        with pytest.raises(Stopped, match="while forks made their calls"):
            shared.results(told.is_set)
