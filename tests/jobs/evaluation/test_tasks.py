"""The evaluation of every task, and of a champion that was declared in another way, on made-up rows."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.artefact.artefact import Artefact
from millrace.artefact.inference import Model
from millrace.errors import ArtefactError
from millrace.evaluation.gates.catalogue import judge_all, passed
from millrace.evaluation.report import Evaluation
from millrace.evaluation.sample import Sample
from millrace.explanations.explained import Explained, ExplainedRow
from millrace.explanations.layout import lay_out
from millrace.explanations.reference import fit_reference
from millrace.features.catalogue import encode
from millrace.jobs.evaluation.job import evaluate
from millrace.jobs.runtime import ProcessingPlaces
from millrace.monitoring.baseline import Baseline
from millrace.tasks.catalogue import TASKS
from tests.archives import write_archive
from tests.jobs.run_document import run_document
from tests.plant import Plant, plant_label, plant_model, plant_rows, write_data, write_plant

Prepare = Callable[..., ProcessingPlaces]


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """The folders of an evaluation job of this plant and its model."""

    def make(plant: Plant, model: Artefact, champion: Artefact | None = None) -> ProcessingPlaces:
        root = tmp_path / "ml"
        places = root / "processing"
        schema = write_data(places / "data", plant_rows(plant.task.kind))
        (places / "config").mkdir()
        shutil.move(schema, places / "config")
        for name in ("workload.yaml", "contract.yaml"):
            shutil.copy(plant.folder / name, places / "config")
        (places / "config" / "run.json").write_text(json.dumps(run_document(as_of="2026-06-01T00:00:00Z")))
        for name, one in (("model", model), ("champion", champion)):
            if one:
                (places / name).mkdir()
                write_archive(places / name / "model.tar.gz", one)
        return ProcessingPlaces(root=root)

    return make


def evaluated(places: ProcessingPlaces) -> Evaluation:
    evaluate(places, champion_version="1")
    return Evaluation.model_validate_json((places.root / "processing/evaluation/evaluation.json").read_bytes())


def explained(model: Artefact, rows: pa.Table) -> Artefact:
    """The model with what training would have measured of its first test row."""
    description = model.description
    tensors = encode(description.features, rows)
    output_NW = Model(model).outputs({name: value[:1] for name, value in tensors.items()})
    layout = lay_out(description.features, rows.slice(0, 1).to_pylist()[0])
    at = int(description.task.explained_output(output_NW)[0])
    found = Explained(
        method="integrated gradients",
        reference=fit_reference(description.features, tensors),
        rows=1,
        completeness_error=0.0,
        columns=(),
        places=(),
        compared=(ExplainedRow(row=0, at=at, contributions=(0.0,) * len(layout.parts)),),
    )
    return dataclasses.replace(model, description=dataclasses.replace(description, explained=found))


@pytest.mark.parametrize("task", TASKS)
def test_a_model_that_understood_the_plant_passes_and_a_blind_one_does_not(
    tmp_path: Path, prepare: Prepare, task: str
) -> None:
    plant, rows = write_plant(tmp_path, task), plant_rows(task)
    report = evaluated(prepare(plant, explained(plant_model(plant, rows), rows)))
    verdicts = judge_all(report, plant.workload.gates, against="baseline")
    assert passed(verdicts), [verdict.sentence for verdict in verdicts]
    assert report.metrics["error"] < report.naive.metrics["error"] / 2
    assert report.naive.rule == plant.workload.gates.baseline.kind
    assert len(report.weekly_error) == 4
    assert bool(report.reliability) == any(field.name == "confidence" for field in plant.task.answer)
    assert bool(report.truth_by_answer) == any(
        field.kind == "number" for field in plant.task.answer if field.name == "value"
    )
    example = report.explanations and report.explanations.example
    assert example is not None
    assert example.explains.startswith(plant_label(task).explains)
    assert example.answer.startswith("2 h: " if task == "forecast" else "")
    assert "[" not in example.answer
    shutil.rmtree(tmp_path / "ml")
    blind = evaluated(prepare(plant, plant_model(plant, rows, blind=True)))
    assert not passed(judge_all(blind, plant.workload.gates, against="baseline"))


@pytest.mark.parametrize("task", TASKS)
def test_the_files_hold_the_fields_of_the_answer(tmp_path: Path, prepare: Prepare, task: str) -> None:
    plant = write_plant(tmp_path, task)
    places = prepare(plant, plant_model(plant, plant_rows(task)))
    report = evaluated(places)
    names = [field.name for field in plant.task.answer]
    folder = places.root / "processing" / "evaluation"
    kept = pq.read_table(folder / "predictions.parquet")
    label = plant.workload.prediction.label
    assert kept.column_names == ["at", "site", label, *(f"answer_{name}" for name in names)]
    errors = [
        plant.task.error(value, label)
        for value, label in zip(kept["answer_value"].to_pylist(), kept[label].to_pylist(), strict=True)
    ]
    assert sum(errors) / len(errors) == pytest.approx(report.metrics["error"], rel=1e-6)
    sample = Sample.model_validate_json((folder / "sample.json").read_bytes())
    assert [list(answer) for answer in sample.answers] == [names] * 20
    assert list(sample.rows[0]) == ["load", "kind", "open"]
    watched = Baseline.from_json((places.root / "processing/baseline/baseline.json").read_text())
    assert [column.name for column in watched.columns] == ["load", "kind", "open"]


@pytest.mark.parametrize("task", TASKS)
def test_a_champion_that_was_declared_with_other_features_is_asked_by_its_own(
    tmp_path: Path, prepare: Prepare, task: str
) -> None:
    """The challenger's declaration knows nothing of `load`; the champion has nothing else."""
    rows = plant_rows(task)
    before = write_plant(tmp_path / "before", task, ["load"])
    plant = write_plant(tmp_path, task, ["extra", "open"])
    compared = evaluated(prepare(plant, plant_model(plant, rows), plant_model(before, rows))).champion
    assert compared is not None
    ahead = round(plant.workload.prediction.horizon_hours)
    assert compared.rows == 28 * 48 - 2 * ahead
    assert compared.error < compared.challenger_error
    assert compared.lower_bound < compared.difference < 0
    assert compared.difference == pytest.approx(compared.error - compared.challenger_error)


def test_a_champion_of_another_task_cannot_be_compared(tmp_path: Path, prepare: Prepare) -> None:
    other = write_plant(tmp_path / "before", "regression")
    champion = plant_model(other, plant_rows("regression"))
    plant = write_plant(tmp_path, "binary")
    places = prepare(plant, plant_model(plant, plant_rows("binary")), champion)
    with pytest.raises(ArtefactError, match="expected a champion with the task binary, version 1 has regression"):
        evaluated(places)


def test_numbers_that_are_none_stay_none(tmp_path: Path, prepare: Prepare) -> None:
    """The document keeps NaN, so that a gate sees and refuses it."""
    plant = write_plant(tmp_path, "regression")
    model: Any = plant_model(plant, plant_rows("regression"))
    report = evaluated(prepare(plant, model))
    spoiled = report.model_copy(update={"metrics": {**report.metrics, "error": float("nan")}})
    again = Evaluation.model_validate_json(spoiled.to_json())
    assert again.metrics["error"] != again.metrics["error"]
