"""A workload's model by the training job itself: rows in, artefact out, answers by its graph."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import yaml

from millrace.artefact.artefact import Artefact, read_folder
from millrace.artefact.inference import Model
from millrace.contract.load import contract_of, load_contract
from millrace.datasets.examples import LABEL, examples, read_rows
from millrace.features import catalogue as encoders
from millrace.jobs.runtime import StopSignal, TrainingPlaces
from millrace.jobs.training.job import train
from millrace.workload.load import load_workload
from tests.jobs.conftest import write_snapshot

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

WORKLOADS = Path(__file__).resolve().parents[2] / "workloads"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of the rows: the answers of the graph (N, W), the labels (N) and the rows themselves."""

    output_NW: npt.NDArray[np.float32]
    target_N: npt.NDArray[Any]
    rows: pa.Table


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained model and what it answers."""

    artefact: Artefact
    model: Model
    train: Part
    validation: Part
    test: Part
    seconds: float
    """Of the job: from channels to artefact."""


def train_workload(
    name: str,
    rows: pa.Table,
    *,
    parameters: Mapping[str, Any],
    prediction: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
) -> Trained:
    """The workload's model of these rows; `parameters`, `prediction` and `training` change its declaration."""
    document = yaml.safe_load((WORKLOADS / name / "workload.yaml").read_text())
    document["training"] |= training or {}
    document["training"]["parameters"] |= parameters
    document["prediction"] |= prediction or {}
    declared = yaml.safe_load((WORKLOADS / name / "contract.yaml").read_text())
    for column, expression in contract_of(declared, where=name).rows.derived.items():
        rows = rows.append_column(column, expression.of_rows(rows))
    return train_document(rows, declared, document)


def train_document(rows: pa.Table, declared: dict[str, Any], document: dict[str, Any]) -> Trained:
    """The model of these rows by a contract and a workload.yaml."""
    with tempfile.TemporaryDirectory() as folder:
        snapshot = write_snapshot(Path(folder), rows, declared, document)
        root = Path(folder) / "ml"
        (root / "input" / "config").mkdir(parents=True)
        (root / "input" / "config" / "inputdataconfig.json").write_text(json.dumps({"data": {}, "config": {}}))
        (root / "input" / "data").mkdir()
        (root / "input" / "data" / "data").symlink_to(snapshot.data)
        (root / "input" / "data" / "config").symlink_to(snapshot.config)
        began = time.perf_counter()
        train(TrainingPlaces(root=root), StopSignal())
        seconds = time.perf_counter() - began
        artefact = read_folder(root / "model")
        model = Model(artefact)
        declared, known = load_workload(snapshot.config), load_contract(snapshot.config)
        given: Any = {"workload": declared, "features": model.description.features}
        found = examples(read_rows(snapshot.data, snapshot.config / "schema.json", contract=known, **given), **given)
    parts = (found.parts.train, found.parts.validation, found.parts.test)
    train_part, validation, test = (_part(model, found.part(part)) for part in parts)
    return Trained(artefact=artefact, model=model, train=train_part, validation=validation, test=test, seconds=seconds)


def _part(model: Model, rows: pa.Table) -> Part:
    description = model.description
    return Part(
        output_NW=model.outputs(encoders.encode(description.features, rows)),
        target_N=description.task.targets(rows[LABEL]),
        rows=rows,
    )
