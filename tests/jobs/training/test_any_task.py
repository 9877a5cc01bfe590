"""Other tasks than electricity's, from rows over training and export to answers in JSON and Arrow."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from millrace.artefact.artefact import Artefact, read_folder
from millrace.artefact.batch import CONTENT_TYPE, read_answers, write_stream
from millrace.artefact.inference import Model
from millrace.contract.odcs import check_contract
from millrace.datasets.examples import label_of
from millrace.features import catalogue as encoders
from millrace.jobs.serving.application import Application
from millrace.jobs.serving.settings import Settings
from millrace.tasks import catalogue
from millrace.workload.declaration import Workload
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests import builders
from tests.jobs.synthetic import FEATURES, make_rows, workload, write_shop

TASKS = (
    pytest.param(
        "multiclass",
        marks=pytest.mark.night(
            "by day two classes, electricity's, and a number are trained; the tasks' own tests have the others' losses"
        ),
    ),
    "regression",
    pytest.param(
        "interval",
        marks=pytest.mark.night(
            "by day two classes, electricity's, and a number are trained; the tasks' own tests have the others' losses"
        ),
    ),
    pytest.param(
        "forecast",
        marks=pytest.mark.night(
            "by day two classes, electricity's, and a number are trained; the tasks' own tests have the others' losses"
        ),
    ),
    pytest.param(
        "multilabel",
        marks=pytest.mark.night(
            "by day two classes, electricity's, and a number are trained; the tasks' own tests have the others' losses"
        ),
    ),
)


def test_every_task_is_trained() -> None:
    """All but electricity's own."""
    named = {one if isinstance(one, str) else one.values[0] for one in TASKS}
    assert named == set(catalogue.TASKS) - {"binary"}


@pytest.fixture(scope="module", params=TASKS)
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def artefact(task: str, run_job: Any, training_at: Any, tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    folder = tmp_path_factory.mktemp(task)
    snapshot = write_shop(folder, task)
    check_fit(load_workload(snapshot.config), check_contract(snapshot.config))
    ended = run_job("millrace.jobs.training", training_at(folder / "ml", snapshot))
    assert ended.code == 0, ended.output
    return read_folder(folder / "ml" / "model")


def declared(task: str) -> Workload:
    return Workload.model_validate(workload(task))


def test_rows(task: str) -> pa.Table:
    """The last 14 days, which no training has seen."""
    rows = make_rows(task)
    last = rows["at"][len(rows) - 1].as_py().replace(hour=0) + timedelta(days=1)
    return rows.filter(pa.compute.greater_equal(rows["at"], pa.scalar(last - timedelta(days=14))))


test_rows.__test__ = False  # type: ignore[attr-defined]


def answered(application: Application, body: bytes, content_type: str) -> bytes:
    [answer] = application.answer([builders.invocation(body, content_type)])
    assert answer.status == 200, answer.body
    return answer.body


def test_the_artefact_says_what_it_takes_and_what_it_answers(task: str, artefact: Artefact) -> None:
    description = artefact.description
    assert (description.task.kind, description.columns) == (task, FEATURES)
    numbers, categories = description.signature
    assert (numbers.shape, numbers.optional) == ((1,), (True,))
    assert categories.cardinalities == (4, 21, 3)
    assert (description.temperature != 1.0) == description.task.objective.is_calibrated


def test_a_model_learns_from_numbers_words_and_booleans(task: str, artefact: Artefact) -> None:
    description, rows = artefact.description, test_rows(task)
    output_NW = Model(artefact).outputs(encoders.encode(description.features, rows))
    labels = pa.chunked_array([label_of(rows, declared(task).prediction)])
    output_NW = output_NW[labels.is_valid().to_numpy()]
    target_N = description.task.targets(labels.drop_null())
    parts = description.task.parts(output_NW, target_N)
    figures = parts.get("4 h") or description.task.metrics(output_NW, target_N)
    name = {"multiclass": "accuracy", "multilabel": "accuracy"}.get(task, "r2")
    assert figures[name] > 0.75, figures  # type: ignore[operator]
    if task == "forecast":
        assert parts["24 h"]["error"] > 1.5 * parts["4 h"]["error"]  # type: ignore[operator]
    if task in ("interval", "forecast"):
        assert 0.6 < figures["coverage"] < 0.95, figures  # type: ignore[operator]


def test_the_walk_forward_counts_the_tasks_own_error(task: str, artefact: Artefact) -> None:
    [frozen] = artefact.description.walk_forward
    low, high = (0.0, 0.6) if task in ("multiclass", "multilabel") else (100.0, 1500.0)
    assert all(low < week.error < high for week in frozen.weeks)


def test_the_container_answers_as_the_task_does_in_json_lines_and_arrow(task: str, artefact: Artefact) -> None:
    model, rows = Model(artefact), test_rows(task).select(FEATURES)
    of_task, version = artefact.description.task, "3"
    application = Application(model, Settings(model_version=version, batch=True))
    expected = of_task.answers(model.outputs(encoders.encode(artefact.description.features, rows)))
    cells = rows.to_pylist()
    of_json = json.loads(answered(application, json.dumps({"rows": cells}).encode(), "application/json"))
    lines = "\n".join(json.dumps({"id": number, **row}) for number, row in enumerate(cells)).encode()
    of_lines = [json.loads(line) for line in answered(application, lines, "application/jsonlines").splitlines()]
    table = pa.table({"row_number": pa.array(range(len(rows)), pa.int64()), **dict(zip(FEATURES, rows, strict=True))})
    stream = answered(application, write_stream(table.to_batches()), CONTENT_TYPE)
    of_arrow = read_answers(stream, model_version=version, fields=of_task.answer)
    for field in of_task.answer:
        whole = expected[field.name].tolist()
        assert of_arrow[field.name].to_pylist() == whole
        for found in (of_json["predictions"], of_lines):
            if field.kind == "text":
                assert [one[field.name] for one in found] == whole
            else:
                np.testing.assert_allclose([one[field.name] for one in found], whole, rtol=1e-8)
    assert {line["model_version"] for line in of_lines} == {version}


def test_a_request_may_lack_a_number_and_bring_a_city_that_training_never_saw(artefact: Artefact) -> None:
    application = Application(Model(artefact), Settings(model_version="3"))
    row = {"load": None, "hue": "red", "city": "nowhere", "open": False}
    document = json.loads(answered(application, json.dumps({"rows": [row]}).encode(), "application/json"))
    assert len(document["predictions"]) == 1
    assert document["predictions"][0].keys() == {field.name for field in artefact.description.task.answer}
