"""The evaluation of every task, and of a champion that was declared in another way, on made-up rows."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from millrace.artefact.artefact import Artefact
from millrace.datasets import memory
from millrace.errors import ArtefactError, SnapshotError
from millrace.evaluation.agreement import SAMPLE_FILE
from millrace.evaluation.gates.catalogue import judge_all, passed
from millrace.evaluation.sample import read_sample
from millrace.explanations.reference import fit_reference
from millrace.features.catalogue import encode
from millrace.jobs.evaluation import job
from millrace.monitoring.baseline import Baseline
from millrace.tasks.catalogue import TASKS
from tests.jobs.conftest import REPOSITORY, Snapshot
from tests.jobs.processing import evaluated, plant_snapshot, processing
from tests.plant import Plant, plant_label, plant_model, plant_rows, write_plant

TEST = 28 * 48
"""Rows of the test days."""


def explained(model: Artefact, rows: pa.Table) -> Artefact:
    """The model with the reference that training would have fitted."""
    description = model.description
    reference = fit_reference(description.features, encode(description.features, rows))
    return dataclasses.replace(model, description=dataclasses.replace(description, reference=reference))


@pytest.mark.parametrize("task", TASKS)
def test_a_model_that_understood_the_plant_passes_and_a_blind_one_does_not(tmp_path: Path, task: str) -> None:
    plant, rows = write_plant(tmp_path, task), plant_rows(task)
    snapshot = plant_snapshot(tmp_path, plant, rows)
    report = evaluated(tmp_path, snapshot, explained(plant_model(plant, rows), rows))
    verdicts = judge_all(report, plant.workload.gates, against="baseline")
    assert passed(verdicts), [verdict.sentence for verdict in verdicts]
    assert report.metrics["error"] < report.naive.metrics["error"] / 2
    assert (report.naive.rule, report.champion) == (plant.workload.gates.baseline.kind, None)
    assert len(report.weekly_error) == 4
    assert np.mean([week.error for week in report.weekly_error]) == pytest.approx(report.metrics["error"], rel=0.01)
    assert report.intervals["error"] == report.contenders[0].scores["error"], "one interval of a figure"
    assert bool(report.reliability) == any(field.name == "confidence" for field in plant.task.answer)
    numbers = [field for field in plant.task.answer if field.name == "value" and field.kind == "number"]
    assert bool(report.truth_by_answer) == bool(numbers)
    example = report.explanations and report.explanations.example
    assert example.explains.startswith(plant_label(task).explains)
    assert example.answer.startswith("2 h: " if task == "forecast" else "")
    assert "[" not in example.answer
    blind = evaluated(tmp_path / "blind", snapshot, plant_model(plant, rows, blind=True))
    assert not passed(judge_all(blind, plant.workload.gates, against="baseline"))


@pytest.mark.parametrize("task", TASKS)
def test_the_files_hold_the_fields_of_the_answer(tmp_path: Path, task: str) -> None:
    plant, rows = write_plant(tmp_path, task), plant_rows(task)
    evaluated(tmp_path, plant_snapshot(tmp_path, plant, rows), plant_model(plant, rows))
    names = [field.name for field in plant.task.answer]
    folder = tmp_path / "processing" / "evaluation"
    sample = read_sample((folder / SAMPLE_FILE).read_bytes())
    assert [list(answer) for answer in sample.answers] == [names] * 20
    assert list(sample.rows[0]) == ["load", "kind", "open"]
    watched = Baseline.from_json((tmp_path / "processing/baseline/baseline.json").read_text())
    assert [column.name for column in watched.columns] == ["load", "kind", "open"]
    assert (watched.error_model is None) == ("confidence" in names), "what answers say of themselves is not learnt"


@pytest.mark.parametrize("task", TASKS)
def test_a_champion_that_was_declared_with_other_features_is_asked_by_its_own(tmp_path: Path, task: str) -> None:
    """The challenger's declaration knows nothing of `load`; the champion has nothing else."""
    rows = plant_rows(task)
    before = write_plant(tmp_path / "before", task, ["load"])
    plant = write_plant(tmp_path, task, ["extra", "open"])
    snapshot = plant_snapshot(tmp_path, plant, rows)
    compared = evaluated(tmp_path, snapshot, plant_model(plant, rows), plant_model(before, rows)).champion
    assert compared.rows == TEST - 2 * round(plant.workload.prediction.horizon_hours)
    assert compared.error < compared.challenger_error
    assert compared.lower_bound < compared.difference < 0
    assert compared.difference == pytest.approx(compared.error - compared.challenger_error)


@pytest.fixture
def binary(tmp_path: Path) -> tuple[Plant, Snapshot, Artefact]:
    plant, rows = write_plant(tmp_path, "binary"), plant_rows("binary")
    return plant, plant_snapshot(tmp_path, plant, rows), plant_model(plant, rows)


def test_the_comparison_takes_the_recent_days_of_the_gate_and_a_declared_bound_of_the_error_is_taken(
    tmp_path: Path, binary: tuple[Plant, Snapshot, Artefact]
) -> None:
    _, snapshot, model = binary
    document: dict[str, Any] = yaml.safe_load((snapshot.config / "workload.yaml").read_text())
    document["gates"]["non_inferiority"]["recent_days"] = 14
    document["monitors"] |= {"error_windows": 2, "error_bound": 0.27}
    (snapshot.config / "workload.yaml").write_text(yaml.safe_dump(document))
    report = evaluated(tmp_path, snapshot, model, champion=model)
    assert report.champion.rows == TEST // 2
    watched = Baseline.from_json((tmp_path / "processing/baseline/baseline.json").read_text())
    assert watched.error
    assert (watched.error.bound, watched.error.windows) == (0.27, 2)


def test_a_share_of_the_test_rows_is_judged_and_the_champion_on_the_same(
    tmp_path: Path, binary: tuple[Plant, Snapshot, Artefact]
) -> None:
    plant, snapshot, model = binary
    document: dict[str, Any] = yaml.safe_load((snapshot.config / "workload.yaml").read_text())
    document["training"]["test_rows"] = 1000
    (snapshot.config / "workload.yaml").write_text(yaml.safe_dump(document))
    report = evaluated(tmp_path, snapshot, model, champion=model)
    assert (report.rows.held_out, report.rows.test) == (TEST, pytest.approx(1000, rel=0.1))
    assert (report.champion.difference, report.champion.rows) == (0, report.rows.test)
    assert report.naive.rows <= report.rows.test
    again = evaluated(tmp_path / "again", snapshot, plant_model(plant, plant_rows("binary"), blind=True))
    assert (again.naive, again.rows) == (report.naive, report.rows), "other models are judged on the same rows"


def test_a_champion_of_another_task_cannot_be_compared(
    tmp_path: Path, binary: tuple[Plant, Snapshot, Artefact]
) -> None:
    _, snapshot, model = binary
    champion = plant_model(write_plant(tmp_path / "before", "regression"), plant_rows("regression"))
    with pytest.raises(ArtefactError, match="expected a champion with the task binary, version 1 has regression"):
        evaluated(tmp_path, snapshot, model, champion)


@pytest.mark.parametrize("word", ["data", "contract", "config"])
def test_a_model_of_other_origin_is_refused(
    tmp_path: Path, binary: tuple[Plant, Snapshot, Artefact], word: str
) -> None:
    _, snapshot, model = binary
    digests = dataclasses.replace(model.description.digests, **{word: "other"})
    other = dataclasses.replace(model, description=dataclasses.replace(model.description, digests=digests))
    with pytest.raises(ArtefactError, match=f"digest of {word}: expected the run's {word}, got other"):
        evaluated(tmp_path, snapshot, other)


def test_rows_beyond_the_memory_are_refused_before_they_are_read(
    tmp_path: Path, binary: tuple[Plant, Snapshot, Artefact], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, snapshot, model = binary
    monkeypatch.setattr(memory, "machine_memory", lambda: 100_000)
    monkeypatch.setattr(job, "read_split", lambda *_: pytest.fail("rows were read"))
    with pytest.raises(SnapshotError, match=r"memory of 0\.0 GB, got 5,760 that take"):
        job.evaluate(processing(tmp_path, snapshot, model=model), champion_version="1")


def test_no_torch_is_needed() -> None:
    code = "import sys, millrace.jobs.evaluation.job; sys.exit('torch' in sys.modules or 'boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0
