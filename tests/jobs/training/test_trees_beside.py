"""A training of a network with boosted trees beside it, on the logarithm of the label; then its evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from millrace.artefact.artefact import Artefact, read_folder
from millrace.artefact.inference import Model
from millrace.features import catalogue as encoders
from tests.jobs.conftest import Snapshot, write_snapshot
from tests.jobs.processing import evaluated
from tests.jobs.synthetic import contract, make_rows, workload

PARAMETERS = {"hidden": [32], "epochs": 12, "batch_size": 64, "learning_rate": 0.01, "label_scale": "log"}


def training(folder: Path, run_job: Any, training_at: Any, trees: str) -> tuple[Snapshot, Artefact]:
    """Of amounts that are never negative, as the contract says."""
    rows = make_rows("regression")
    amounts = pa.array(np.exp(rows["sold"].to_numpy() / 2500))
    rows = rows.set_column(rows.column_names.index("sold"), "sold", amounts)
    declared = contract("regression")
    for table in declared["schema"]:
        for column in table["properties"]:
            if column["name"] == "sold":
                column["logicalTypeOptions"] = {"minimum": 0, "maximum": 40}
    document = workload("regression", training={"parameters": PARAMETERS | {"trees": trees}})
    document["gates"]["simple"] = {"kind": "boosted_trees", "otherwise": "warn"}
    snapshot = write_snapshot(folder, rows, declared, document)
    ended = run_job("millrace.jobs.training", training_at(folder / "ml", snapshot))
    assert ended.code == 0, ended.output
    return snapshot, read_folder(folder / "ml" / "model")


@pytest.fixture(scope="module")
def mean(run_job: Any, training_at: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, Artefact]:
    return training(tmp_path_factory.mktemp("mean"), run_job, training_at, "mean")


def test_each_part_and_a_linear_model_stand_beside_the_answer(mean: tuple[Snapshot, Artefact], tmp_path: Path) -> None:
    snapshot, artefact = mean
    found = evaluated(tmp_path, snapshot, artefact)
    beside = {one.name: one.scores["error"].value for one in found.contenders if one.who == "beside"}
    assert set(beside) == {"network alone", "trees alone", "linear"}
    own = found.contenders[0].scores["error"].value
    assert own < (beside["network alone"] + beside["trees alone"]) / 2, "an error of a mean is below the mean of errors"
    assert found.explanations is not None
    assert found.metrics["r2"] > 0.8  # type: ignore[operator]


def test_trees_alone_are_a_model_too(run_job: Any, training_at: Any, tmp_path: Path) -> None:
    _, artefact = training(tmp_path, run_job, training_at, "alone")
    assert artefact.history.count(b'"epoch"') == 1
    model, rows = Model(artefact), make_rows("regression")
    outputs = model.outputs(encoders.encode(artefact.description.features, rows))[:, 0]
    truth = np.exp(rows["sold"].to_numpy() / 2500)
    assert model.parts == ()
    assert np.corrcoef(outputs, truth)[0, 1] > 0.9
