"""A task, an encoder and a family that the product does not have: one line each in a catalogue, and all roads work."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from millrace.artefact.artefact import Artefact, read_folder
from millrace.artefact.batch import CONTENT_TYPE, read_answers, write_rows
from millrace.artefact.inference import Model
from millrace.contract.odcs import check_contract
from millrace.errors import WorkloadError
from millrace.evaluation.report import Evaluation
from millrace.features import catalogue as encoders
from millrace.features.catalogue import ENCODERS
from millrace.jobs.runtime import StopSignal, TrainingPlaces
from millrace.jobs.training.job import train
from millrace.models.catalogue import FAMILIES
from millrace.serving.application import Application
from millrace.serving.settings import Settings
from millrace.tasks.catalogue import TASKS
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests import builders
from tests.jobs.conftest import Snapshot
from tests.jobs.novelties.count import Count
from tests.jobs.novelties.linear import Linear
from tests.jobs.novelties.weekday import Weekday
from tests.jobs.processing import evaluated
from tests.jobs.synthetic import make_rows, write_shop

COLUMNS = ("load", "hue", "city", "open", "at")
CHANGES: dict[str, Any] = {
    "prediction": {"features": [*COLUMNS[:-1], {"name": "at", "encoder": "weekday"}]},
    "training": {
        "family": "linear",
        "parameters": {"epochs": 30, "batch_size": 64, "learning_rate": 0.05},
        "walk_forward_steps": 1,
    },
}


@pytest.fixture(scope="module")
def catalogues() -> Iterator[None]:
    """With one line more in each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, "count", Count)
        patch.setitem(ENCODERS, "weekday", Weekday)
        patch.setitem(FAMILIES, "linear", Linear)
        yield


@pytest.fixture(scope="module")
def folder(catalogues: None, training_at: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of the job, run in this process, whose catalogues are changed."""
    root = tmp_path_factory.mktemp("count")
    snapshot = write_shop(root, "count", **CHANGES)
    check_fit(load_workload(snapshot.config), check_contract(snapshot.config))
    places = TrainingPlaces(root=training_at(root / "ml", snapshot))
    before = signal.getsignal(signal.SIGTERM)
    try:
        train(places, StopSignal())
    finally:
        signal.signal(signal.SIGTERM, before)
    return places.model


@pytest.fixture
def artefact(folder: Path) -> Artefact:
    return read_folder(folder)


@pytest.fixture
def report(artefact: Artefact, folder: Path, tmp_path: Path) -> Evaluation:
    """Of the evaluation job, with the model as its own champion."""
    snapshot = Snapshot(data=folder.parents[1] / "data", config=folder.parents[1] / "config" / "shop")
    return evaluated(tmp_path / "evaluation", snapshot, artefact, artefact)


def test_it_learns_rates_and_is_evaluated_beside_its_champion(report: Evaluation, artefact: Artefact) -> None:
    assert (report.task, report.error.name, report.reliability) == ("count", "mean absolute error", ())
    assert set(report.metrics) == set(report.naive.metrics) == {"error", "loss"}
    assert report.metrics["loss"] < report.naive.metrics["loss"] - 0.15  # type: ignore[operator]
    assert report.champion is not None
    assert report.champion.difference == report.champion.lower_bound == 0
    assert len(artefact.description.walk_forward) == 1


def test_it_answers_rates_in_json_and_in_arrow(artefact: Artefact) -> None:
    model, rows = Model(artefact), make_rows("count").slice(1300).select(COLUMNS)
    application = Application(model, Settings(model_version="1", batch=True))
    task = artefact.description.task
    expected = task.answers(model.outputs(encoders.encode(artefact.description.features, rows)))
    cells = [row | {"at": row["at"].isoformat()} for row in rows.to_pylist()]
    document = json.loads(answered(application, json.dumps({"rows": cells}).encode(), "application/json"))
    stream = answered(application, write_rows(rows), CONTENT_TYPE)
    table = read_answers(stream, model_version="1", fields=task.answer)
    for field in task.answer:
        assert table[field.name].to_pylist() == expected[field.name].tolist()
    assert [one["value"] for one in document["predictions"]] == expected["value"].tolist()
    assert {one["likeliest"] for one in document["predictions"]} == {"many", None}
    np.testing.assert_allclose([one["rate"] for one in document["predictions"]], expected["rate"], rtol=1e-8)


def answered(application: Application, body: bytes, content_type: str = "application/json") -> bytes:
    [answer] = application.answer([builders.invocation(body, content_type)])
    assert answer.status == 200, answer.body
    return answer.body


def test_it_is_explained_by_its_answers(artefact: Artefact) -> None:
    rows = [
        row | {"at": row["at"].isoformat()} for row in make_rows("count").slice(1300, 2).select(COLUMNS).to_pylist()
    ]
    application = Application(Model(artefact), Settings(model_version="1"))
    document = json.loads(
        answered(application, json.dumps({"rows": rows, "explain": True}).encode(), "application/json")
    )
    for one in document["predictions"]:
        found = one["explanation"]
        added = sum(part["contribution"] for part in found["contributions"]) + found["others"]
        assert added == pytest.approx(found["output"] - found["base"], abs=1e-4)


def test_a_family_that_does_not_take_the_features_stops_at_synth(catalogues: None, tmp_path: Path) -> None:
    changes = CHANGES | {"prediction": {"features": ["load"]}}
    snapshot = write_shop(tmp_path, "count", **changes)
    with pytest.raises(WorkloadError, match=r"prediction\.features: expected both"):
        check_fit(load_workload(snapshot.config), check_contract(snapshot.config))
