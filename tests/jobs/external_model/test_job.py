"""An external model becomes an archive that the evaluation takes, or is refused for what it answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from millrace.artefact import external
from millrace.artefact.artefact import read_archive
from millrace.errors import ArtefactError
from millrace.jobs.evaluation.job import evaluate
from millrace.jobs.external_model.job import make_archive
from millrace.jobs.runtime import ProcessingPlaces
from tests.external_models import logistic, write
from tests.jobs.processing import processing


@pytest.fixture
def archived(tmp_path: Path, snapshot_1996: Any) -> Any:
    """Runs the job on a graph; /opt/ml is a folder of the test's own."""

    def run(model: onnx.ModelProto, approved: str = "") -> ProcessingPlaces:
        places, home = processing(tmp_path, snapshot_1996), tmp_path / "processing"
        write(home / "external_model", model)
        make_archive(places, approved=approved or external.read(home / "external_model").digest)
        return places

    return run


def test_a_graph_of_an_external_model_is_evaluated_as_a_trained_one(archived: Any, tmp_path: Path) -> None:
    places = archived(logistic())
    artefact = read_archive(places.input("model") / "model.tar.gz")
    assert (artefact.description.family, artefact.description.digests.data) == ("external", "data")
    assert artefact.description.parameters["digest"] == external.read(tmp_path / "processing/external_model").digest
    evaluate(places, champion_version="none")
    report = json.loads((tmp_path / "processing/evaluation/evaluation.json").read_text())
    assert report["model_digest"] == artefact.digest
    assert report["finite_weights"] is True
    assert 0.2 < report["metrics"]["error"] < 0.45
    assert (tmp_path / "processing/baseline/baseline.json").is_file()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (logistic(end="Identity"), "output: expected probabilities, the graph's end is a sigmoid, got numbers from -"),
        (logistic(end="Log"), "expected finite answers, .* of 600 rows have none"),
        (logistic(among=True), "expected the same answer to a row whatever rows come with it, got answers"),
        (logistic(name="x"), "expected inputs"),
    ],
)
def test_answers_that_the_task_cannot_use_are_refused(archived: Any, model: onnx.ModelProto, said: str) -> None:
    with pytest.raises(ArtefactError, match=said):
        archived(model)


def test_another_model_than_the_named_one_is_refused(archived: Any) -> None:
    with pytest.raises(ArtefactError, match="expected the files that were registered"):
        archived(logistic(), approved="0" * 64)
