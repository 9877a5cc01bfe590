"""Every task, and every kind of input, from rows over training, evaluation and export to the container's answers."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from millrace.artefact.artefact import Artefact, read_folder
from millrace.artefact.batch import CONTENT_TYPE, read_answers, write_rows
from millrace.artefact.inference import Model
from millrace.contract.load import load_contract
from millrace.contract.odcs import check_contract
from millrace.datasets.examples import LABEL, Examples, examples, read_rows
from millrace.evaluation.gates.catalogue import judge_all, passed
from millrace.evaluation.report import Evaluation
from millrace.explanations.requested import explanation_of
from millrace.features import catalogue as encoders
from millrace.serving.application import Application
from millrace.serving.settings import Settings
from millrace.tasks import catalogue
from millrace.workload.declaration import Workload
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests.jobs import kinds
from tests.jobs.conftest import Snapshot, write_snapshot
from tests.jobs.processing import evaluated
from tests.jobs.synthetic import contract, make_rows, workload
from tests.jobs.training.test_new_entries import answered

KINDS = {
    "scans": (kinds.scans, kinds.scans_contract, kinds.scans_workload),
    "load": (kinds.load, kinds.load_contract, kinds.load_workload),
    "notes": (kinds.notes, kinds.notes_contract, kinds.notes_workload),
    "mixed": (kinds.mixed, kinds.mixed_contract, kinds.mixed_workload),
}
BY_DAY = ("regression", "scans")
NIGHT = pytest.mark.night(
    "by day a number and images are trained; the others' losses, encoders and families are tested"
)
GIVEN = (*sorted(set(catalogue.TASKS) - {"binary"}), *KINDS)
"""All tasks but electricity's own, over a table; and two classes or a number of other inputs."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    name: str
    snapshot: Snapshot
    artefact: Artefact

    @property
    def features(self) -> encoders.Features:
        return self.artefact.description.features

    @cached_property
    def workload(self) -> Workload:
        return load_workload(self.snapshot.config)

    @cached_property
    def examples(self) -> Examples:
        declared, contract = {"workload": self.workload, "features": self.features}, load_contract(self.snapshot.config)
        rows = read_rows(self.snapshot.data, self.snapshot.config / "schema.json", contract=contract, **declared)
        return examples(rows, **declared)

    @cached_property
    def test(self) -> pa.Table:
        """The rows of the test days."""
        return self.examples.part(self.examples.parts.test)


@pytest.fixture(
    scope="module", params=[pytest.param(one, marks=[NIGHT] * (one not in BY_DAY)) for one in GIVEN], ids=str
)
def trained(request: Any, run_job: Any, training_at: Any, tmp_path_factory: Any) -> Trained:
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    made = [make() for make in KINDS[name]] if name in KINDS else [make_rows(name), contract(name), workload(name)]
    snapshot = write_snapshot(folder, *made)
    check_fit(load_workload(snapshot.config), check_contract(snapshot.config))
    ended = run_job("millrace.jobs.training", training_at(folder / "ml", snapshot))
    assert ended.code == 0, ended.output
    return Trained(name=name, snapshot=snapshot, artefact=read_folder(folder / "ml" / "model"))


@pytest.fixture(scope="module")
def found(trained: Trained, tmp_path_factory: Any) -> Evaluation:
    return evaluated(tmp_path_factory.mktemp("evaluated"), trained.snapshot, trained.artefact)


def test_a_model_learns_what_was_planted_and_passes_its_gates(trained: Trained, found: Evaluation) -> None:
    gates = trained.workload.gates.model_copy(update={"latency": None})
    verdicts = judge_all(found, gates, against="baseline")
    assert passed(verdicts), verdicts
    description = trained.artefact.description
    assert (description.temperature != 1.0) == description.task.objective.is_calibrated
    parts = {one.name: one.figures for one in found.parts}
    figures = parts.get("4 h") or found.metrics
    assert trained.name in KINDS or (figures.get("accuracy") or figures["r2"]) > 0.75, figures  # type: ignore[operator]
    if trained.name == "forecast":
        assert parts["24 h"]["error"] > 1.5 * parts["4 h"]["error"]  # type: ignore[operator]
    if "coverage" in figures:
        assert 0.6 < figures["coverage"] < 0.95, figures  # type: ignore[operator]
    assert found.explanations is not None
    assert bool(found.explanations.example.image) is ("scan" in description.inputs)
    assert all(one.rise is not None for one in found.explanations.columns)


def test_the_container_answers_rows_of_a_table_alike_in_json_and_arrow(trained: Trained) -> None:
    model, rows, task = Model(trained.artefact), trained.test.slice(0, 40), trained.artefact.description.task
    application = Application(model, Settings(model_version="3", batch=True))
    expected = task.answers(model.outputs(encoders.encode(trained.features, rows)))
    requests = [as_request(row, trained) for row in rows.to_pylist()]
    of_json = json.loads(answered(application, json.dumps({"rows": requests}).encode()))["predictions"]
    stream = answered(application, write_rows(rows), CONTENT_TYPE)
    of_arrow = read_answers(stream, model_version="3", fields=task.answer)
    for field in task.answer:
        whole = expected[field.name].tolist()
        assert of_arrow[field.name].to_pylist() == whole
        cells = [one[field.name] for one in of_json]
        assert cells == (whole if field.kind == "text" else pytest.approx(np.array(whole), rel=1e-8))


def as_request(row: dict[str, Any], trained: Trained) -> dict[str, Any]:
    """As a caller writes it: an image in base64, the past as rows."""
    named = {name: row[name] for name in encoders.columns(trained.features)}
    if named.get("scan") is not None:
        named["scan"] = base64.b64encode(row["scan"]).decode()
    if trained.name != "load":
        return named
    before = [one for one in kinds.load().to_pylist() if one["at"] < row["at"]][-40:]
    past = [{"at": one["at"].isoformat(), "load": one["load"], "wind": one["wind"]} for one in before]
    return named | {"at": row["at"].isoformat(), "past": past}


def test_an_input_of_another_form_is_rejected_by_the_container(trained: Trained) -> None:
    row = dict.fromkeys(encoders.inputs(trained.features), True)
    application = Application(Model(trained.artefact), Settings(model_version="3"))
    [found] = json.loads(answered(application, json.dumps({"rows": [row]}).encode()))["predictions"]
    assert found.keys() == {"rejected"}


def test_labels_ahead_are_those_of_later_rows(trained: Trained) -> None:
    rows = trained.examples.table.to_pylist()
    hours = trained.workload.prediction.horizon_hours if trained.name == "load" else 0
    by_time = {row["at"]: row for row in rows} if hours else {}
    for row in rows if trained.name != "forecast" else []:
        later = by_time.get(row["at"] + kinds.timedelta(hours=hours), row) if hours else row
        if later is not row or not hours:
            label = trained.workload.prediction.label_columns
            assert row[LABEL] == (later[label[0]] if len(label) == 1 else [later[name] for name in label])


def test_the_planted_signal_is_what_explains_the_answers(trained: Trained, found: Evaluation) -> None:
    """The load and not the wind, one of the six words that mean something and not a filler; and the sums hold."""
    explained = found.explanations
    assert explained is not None
    means = {one.column: one.mean for one in explained.columns}
    if "wind" in means:
        assert means["load"] > 10 * means["wind"] > 0
    if "note" in means:
        words = sorted(explained.places, key=lambda one: -one.mean)
        assert not {one.place for one in words[:4]} & set(kinds.FILLER)
        assert {one.place for one in words[10:]} & set(kinds.FILLER)
    document = explanation_of(Model(trained.artefact), trained.test.slice(0, 1).to_pylist()[0])
    assert document["completeness_error"] < 1e-3
    assert document["contributions"]
