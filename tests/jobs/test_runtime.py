from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.errors import SettingsError, SnapshotError
from millrace.jobs.runtime import (
    ProcessingPlaces,
    Stopped,
    StopSignal,
    TrainingPlaces,
    run,
)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MILLRACE_ML_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def end(error: Exception | None) -> int:
    """The exit code of a process that runs a job which raises `error`."""

    def job() -> None:
        if error:
            raise error

    child = os.fork()
    if not child:
        run(job)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("error", [SnapshotError("no rows"), ZeroDivisionError("division by zero")])
def test_a_failure_is_told_where_sagemaker_reads_it(
    root: Path, error: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    assert end(error) == 1
    expected = f"{type(error).__name__}: {error}"
    assert (root / "output" / "failure").read_text() == expected
    assert (root / "output" / "message").read_text() == expected
    told = capfd.readouterr().err
    assert expected in told
    assert ("Traceback" in told) == isinstance(error, ZeroDivisionError)


def test_a_stopped_job_has_not_failed_and_is_not_done(root: Path) -> None:
    assert end(Stopped("in epoch 3")) == 143
    assert not (root / "output").exists()


@pytest.mark.usefixtures("handlers")
def test_a_stop_is_noted() -> None:
    stop = StopSignal()
    assert not stop.came
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.came


def test_channels_are_those_of_the_job(root: Path) -> None:
    (root / "input" / "config").mkdir(parents=True)
    (root / "input" / "config" / "inputdataconfig.json").write_text(json.dumps({"data": {}}))
    places = TrainingPlaces(root=root)
    assert places.channel("data") == root / "input" / "data" / "data"
    with pytest.raises(SettingsError, match=r"config: expected a channel of this name, got \['data'\]"):
        places.channel("config")


def test_processing_inputs_are_there_or_not(root: Path) -> None:
    places = ProcessingPlaces(root=root)
    assert places.optional("champion") is None
    with pytest.raises(SettingsError, match="model"):
        places.input("model")
    (root / "processing" / "model").mkdir(parents=True)
    assert places.input("model") == root / "processing" / "model"
    assert places.output("evaluation").is_dir()
