"""A declared search for hyperparameters: what it may hold, what it may cost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.errors import WorkloadError
from millrace.models.catalogue import FAMILIES
from millrace.workload.declaration import Workload
from millrace.workload.load import load_workload
from millrace.workload.tuning import tuning_usd, usual_tuning

ELECTRICITY = Path(__file__).resolve().parents[3] / "workloads" / "electricity"
DECLARED = {
    "parameters": {
        "learning_rate": {"min": 0.0003, "max": 0.01, "scale": "log"},
        "hidden": [[64, 64], [128]],
        "epochs": {"min": 5, "max": 30},
    },
    "max_jobs": 10,
    "max_parallel": 2,
    "budget_usd": 20,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "electricity"


def load(folder: Path, **changes: Any) -> Any:
    document = yaml.safe_load((ELECTRICITY / "workload.yaml").read_text())
    folder.mkdir()
    (folder / "workload.yaml").write_text(yaml.safe_dump({**document, "tuning": {**DECLARED, **changes}}))
    return load_workload(folder)


def test_its_cost_is_every_training_at_its_longest(folder: Path) -> None:
    """Ten hours of ml.g5.xlarge, and the dearest region's fifth."""
    workload = load(folder)
    assert workload.tuning.is_whole("epochs", type(workload.training.family_parameters()))
    assert not workload.tuning.is_whole("learning_rate", type(workload.training.family_parameters()))
    usd = tuning_usd(workload.tuning, instance="ml.g5.xlarge", instances=1, max_minutes=60)
    assert usd == pytest.approx(10 * 1.408 * 1.2)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"max_jobs": 12},
            "budget_usd of 20.28 at least, the cost of 12 trainings of 60 minutes on 1 ml.g5.xlarge in the stage prod",
        ),
        ({"parameters": {"layers": [1, 2]}}, "got 'layers'"),
        ({"parameters": {"learning_rate": {"min": 0.1, "max": 2}}}, "learning_rate"),
        ({"parameters": {"learning_rate": {"min": 0, "max": 0.1, "scale": "log"}}}, "above 0 where the scale is log"),
        ({"parameters": {"learning_rate": {"min": 0.2, "max": 0.1}}}, "min below max"),
        ({"parameters": {"schedule": ["cosine", "steps"]}}, "schedule"),
        ({"parameters": {"hidden": {"min": 1, "max": 2}}}, "hidden: expected a list of values, got 'a range'"),
        ({"parameters": {"epochs": {"min": 1.5, "max": 4}}}, "epochs"),
        ({"parameters": {}}, "at least 1 item"),
        ({"max_parallel": 11}, "less than or equal to 10"),
        ({"max_jobs": 1}, "max_parallel: expected 1 at most, as max_jobs, got 2"),
        ({"objective": "beauty"}, "validation_error"),
        ({"budget_usd": 0}, "greater than 0"),
    ],
)
def test_what_cannot_be_searched_or_paid_is_refused(folder: Path, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        load(folder, **changes)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("training", "parameters", "expected"),
    [
        ({}, {"dimension": {"min": 32, "max": 64}}, "dimension: expected a multiple of heads (4), got 33"),
        ({}, {"heads": {"min": 1, "max": 4}}, "dimension: expected a multiple of heads (3), got 64"),
        ({}, {"dimension": [32, 48], "heads": [2, 3]}, "dimension: expected a multiple of heads (3), got 32"),
        ({"instances": 4}, {"batch_size": [128, 130]}, "batch_size: expected a multiple of 4 in the stage"),
        (
            {"instances": 4},
            {"batch_size": {"min": 128, "max": 256}},
            "batch_size: expected a multiple of 4 in the stage",
        ),
        ({}, {"dimension": [48, 96], "heads": [3, 4]}, ""),
        ({}, {"dimension": [32, 64], "heads": [2, 4], "batch_size": {"min": 32, "max": 5000}}, ""),
    ],
)
def test_what_some_of_its_trainings_could_not_have_is_refused(
    training: dict[str, Any], parameters: dict[str, Any], expected: str
) -> None:
    """Also between the ends of a range, and of two hyperparameters together."""
    document = yaml.safe_load((ELECTRICITY / "workload.yaml").read_text())
    document["training"] |= {"family": "transformer", "parameters": {}, **training}
    document["tuning"] = {"parameters": parameters, "max_jobs": 1, "budget_usd": 40}
    if not expected:
        assert Workload.model_validate(document).tuning
        return
    with pytest.raises(ValueError, match=re.escape(expected)):
        Workload.model_validate(document)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_the_usual_search(family: str) -> None:
    declared = FAMILIES[family]()
    for extreme in ({}, {"learning_rate": 0.9, "weight_decay": 0.0}):
        near = declared.model_copy(update=extreme)
        for parameters in usual_tuning(near, budget_usd=5).candidates(FAMILIES[family], near.model_dump()):
            FAMILIES[family](**parameters)
