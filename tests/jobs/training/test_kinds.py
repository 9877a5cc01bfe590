"""Images, histories and texts through the jobs: training, evaluation, and the serving container's answers."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from millrace.artefact.artefact import Artefact, read_folder
from millrace.artefact.inference import Model
from millrace.contract.load import load_contract
from millrace.contract.odcs import check_contract
from millrace.datasets.examples import LABEL, Examples, read_examples
from millrace.evaluation.gates.catalogue import judge_all, passed
from millrace.evaluation.report import Evaluation
from millrace.explanations.requested import explanation_of
from millrace.features import catalogue as encoders
from millrace.jobs.evaluation.job import evaluate
from millrace.jobs.runtime import ProcessingPlaces
from millrace.jobs.serving.rows import RowReader
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests.archives import write_archive
from tests.jobs import kinds
from tests.jobs.conftest import Snapshot, write_snapshot

GIVEN = {
    "scans": (kinds.scans, kinds.scans_contract, kinds.scans_workload),
    "load": (kinds.load, kinds.load_contract, kinds.load_workload),
    "notes": (kinds.notes, kinds.notes_contract, kinds.notes_workload),
    "mixed": (kinds.mixed, kinds.mixed_contract, kinds.mixed_workload),
}


@pytest.fixture(
    scope="module",
    params=[
        "scans",
        *(
            pytest.param(
                one,
                marks=pytest.mark.night(
                    "by day images are trained; the other kinds' examples and families have their own tests"
                ),
            )
            for one in ("load", "notes", "mixed")
        ),
    ],
)
def trained(request: Any, run_job: Any, training_at: Any, tmp_path_factory: Any) -> tuple[Snapshot, Artefact]:
    table, contract, workload = (make() for make in GIVEN[request.param])
    folder = tmp_path_factory.mktemp(request.param)
    snapshot = write_snapshot(folder, table, contract, workload)
    check_fit(load_workload(snapshot.config), check_contract(snapshot.config))
    ended = run_job("millrace.jobs.training", training_at(folder / "ml", snapshot))
    assert ended.code == 0, ended.output
    return snapshot, read_folder(folder / "ml" / "model")


def examples_of(snapshot: Snapshot, artefact: Artefact) -> Examples:
    return read_examples(
        snapshot.data,
        snapshot.config / "schema.json",
        workload=load_workload(snapshot.config),
        contract=load_contract(snapshot.config),
        features=artefact.description.features,
    )


def test_the_model_passes_the_gates_that_a_naive_rule_sets(trained: tuple[Snapshot, Artefact], tmp_path: Path) -> None:
    snapshot, artefact = trained
    places = tmp_path / "processing"
    shutil.copytree(snapshot.data, places / "data")
    shutil.copytree(snapshot.config, places / "config")
    (places / "model").mkdir()
    write_archive(places / "model" / "model.tar.gz", artefact)
    evaluate(ProcessingPlaces(root=tmp_path), champion_version="1")
    found = Evaluation.model_validate_json((places / "evaluation" / "evaluation.json").read_bytes())
    verdicts = judge_all(found, load_workload(snapshot.config).gates, against="baseline")
    assert passed(verdicts), verdicts
    assert found.explanations is not None
    assert found.explanations.example is not None
    assert bool(found.explanations.example.image) is ("scan" in artefact.description.inputs)
    assert all(one.rise is not None for one in found.explanations.columns)
    assert 0 <= found.explanations.endpoint_difference < 0.9
    sample = json.loads((places / "evaluation" / "sample.json").read_text())
    model = Model(artefact)
    reader = RowReader(artefact.description.features)
    rows = reader.read(json.dumps({"rows": sample["rows"]}).encode(), "application/json")
    answers = artefact.description.task.answers(model.outputs(reader.together([rows])))
    for name, values in answers.items():
        np.testing.assert_allclose(values, [one[name] for one in sample["answers"]], rtol=1e-6)
    assert (places / "baseline" / "baseline.json").exists()


def test_a_request_has_the_answer_of_its_row_in_a_table(trained: tuple[Snapshot, Artefact]) -> None:
    snapshot, artefact = trained
    examples, features = examples_of(snapshot, artefact), artefact.description.features
    reader, model = RowReader(features), Model(artefact)
    test = examples.part(examples.parts.test).slice(0, 20)
    whole = model.outputs(encoders.encode(features, test))
    requests = [as_request(row, kinds.load().to_pylist(), artefact) for row in test.to_pylist()]
    rows = reader.read(json.dumps({"rows": requests}).encode(), "application/json")
    np.testing.assert_array_equal(model.outputs(reader.together([rows])), whole)


def as_request(row: dict[str, Any], table: list[dict[str, Any]], artefact: Artefact) -> dict[str, Any]:
    """As a caller writes it: an image in base64, the past as rows."""
    named = {name: row[name] for name in encoders.columns(artefact.description.features)}
    if named.get("scan") is not None:
        named["scan"] = base64.b64encode(row["scan"]).decode()
    if "scan" in row or "note" in row:
        return named
    before = [one for one in table if one["at"] < row["at"]][-40:]
    past = [{"at": one["at"].isoformat(), "load": one["load"], "wind": one["wind"]} for one in before]
    return named | {"at": row["at"].isoformat(), "past": past}


def test_an_input_of_another_form_is_rejected_by_the_container(trained: tuple[Snapshot, Artefact]) -> None:
    reader = RowReader(trained[1].description.features)
    row = dict.fromkeys(encoders.inputs(trained[1].description.features), True)
    found = reader.read(json.dumps({"rows": [row]}).encode(), "application/json")
    assert (len(found), list(found.rejected)) == (0, [0])
    if encoders.images(trained[1].description.features):
        assert found.rejected[0]["expected"] == "base64 text"


def test_labels_ahead_are_those_of_later_rows(trained: tuple[Snapshot, Artefact]) -> None:
    examples = examples_of(*trained)
    by_time = {row["at"]: row for row in examples.table.to_pylist()}
    if "load" in examples.table.column_names:
        known = [row for row in by_time.values() if row["at"] + kinds.timedelta(hours=kinds.AHEAD) in by_time]
        assert len(known) > 500
        for row in known:
            assert row[LABEL] == by_time[row["at"] + kinds.timedelta(hours=kinds.AHEAD)]["load"]
    else:
        label = load_workload(trained[0].config).prediction.label
        assert examples.table[LABEL].to_pylist() == examples.table[label].to_pylist()


def test_the_planted_signal_is_what_explains_the_answers(trained: tuple[Snapshot, Artefact]) -> None:
    """The load and not the wind, one of the six words that mean something and not a filler; and the sums hold."""
    snapshot, artefact = trained
    explained = artefact.description.explained
    assert explained is not None
    assert explained.completeness_error < 0.05
    means = {one.column: one.mean for one in explained.columns}
    if "load" in means:
        assert means["load"] > 10 * means["wind"] > 0
    if "note" in means:
        words = sorted(explained.places, key=lambda one: -one.mean)
        assert not {one.place for one in words[:4]} & set(kinds.FILLER)
        assert {one.place for one in words[10:]} & set(kinds.FILLER)
    test = examples_of(snapshot, artefact)
    row = test.part(test.parts.test).slice(0, 1).to_pylist()[0]
    found = explanation_of(Model(artefact), row)
    assert found["completeness_error"] < 1e-3
    assert found["contributions"]
