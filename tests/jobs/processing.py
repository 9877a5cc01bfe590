"""Folders of processing jobs, and the report of an evaluation in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from millrace.artefact.artefact import Artefact, write_archive
from millrace.evaluation.agreement import SAMPLE_FILE
from millrace.evaluation.report import Evaluation
from millrace.evaluation.sample import read_sample
from millrace.jobs.evaluation.job import evaluate
from millrace.jobs.runtime import ProcessingPlaces
from tests.jobs.conftest import Snapshot, declared_in, write_snapshot
from tests.plant import Plant


def processing(root: Path, snapshot: Snapshot, **archives: Artefact | None) -> ProcessingPlaces:
    """The folders of a job on the snapshot, with each archive as the input of its name."""
    home = root / "processing"
    home.mkdir(parents=True)
    for name in ("data", "config"):
        (home / name).symlink_to(getattr(snapshot, name))
    for name, artefact in archives.items():
        if artefact:
            (home / name).mkdir()
            write_archive(home / name / "model.tar.gz", artefact)
    return ProcessingPlaces(root=root)


def evaluated(root: Path, snapshot: Snapshot, model: Artefact, champion: Artefact | None = None) -> Evaluation:
    """The report that the evaluation job writes; a champion is version 1."""
    evaluate(processing(root, snapshot, model=model, champion=champion), champion_version="1")
    folder = root / "processing" / "evaluation"
    sample = read_sample((folder / SAMPLE_FILE).read_bytes())
    return Evaluation.model_validate_json((folder / "evaluation.json").read_bytes()).with_examples(sample)


def plant_snapshot(root: Path, plant: Plant, rows: pa.Table, **run: Any) -> Snapshot:
    """A run's files of the plant."""
    return write_snapshot(root, rows, *declared_in(plant.folder), **{"as_of": "2026-05-02T00:00:00Z"} | run)
