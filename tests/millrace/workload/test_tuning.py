"""A declared search for hyperparameters: what it may hold, what it may cost."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from millrace.errors import WorkloadError
from millrace.models.catalogue import FAMILIES
from millrace.workload.load import load_workload
from millrace.workload.tuning import tuning_usd, usual_tuning
from tests.millrace.workload.declared import write

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


def test_its_cost_is_every_training_at_its_longest(tmp_path: Path) -> None:
    """Ten hours of ml.g5.xlarge, and the dearest region's fifth."""
    workload = load_workload(write(tmp_path, "electricity", {"tuning": DECLARED}))
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
        ({"max_jobs": 1}, "max_parallel: expected 1 at most, as max_jobs, got 2"),
        ({"objective": "beauty"}, "validation_error"),
    ],
)
def test_what_cannot_be_searched_or_paid_is_refused(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(WorkloadError, match=re.escape(expected)):
        load_workload(write(tmp_path, "electricity", {"tuning": DECLARED | changes}))


@pytest.mark.parametrize(
    ("training", "parameters", "expected"),
    [
        ({}, {"dimension": {"min": 32, "max": 64}}, "dimension: expected a multiple of heads (4), got 33"),
        ({}, {"heads": {"min": 1, "max": 4}}, "dimension: expected a multiple of heads (3), got 64"),
        ({}, {"dimension": [48, 96, 64], "heads": [2, 3]}, "dimension: expected a multiple of heads (3), got 64"),
        ({"instances": 4}, {"batch_size": [128, 130]}, "batch_size: expected a multiple of 4 in the stage"),
        ({}, {"dimension": [48, 96], "heads": [3, 4]}, ""),
        ({}, {"dimension": [32, 64], "heads": [2, 4], "batch_size": {"min": 32, "max": 5000}}, ""),
    ],
)
def test_what_some_of_its_trainings_could_not_have_is_refused(
    training: dict[str, Any], parameters: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    """Also between the ends of a range, and of two hyperparameters together."""
    changes = {"training.family": "transformer", "training.parameters": {}}
    changes |= {f"training.{name}": value for name, value in training.items()}
    tuning = {"parameters": parameters, "max_jobs": 1, "budget_usd": 40}
    folder = write(tmp_path, "electricity", changes | {"tuning": tuning})
    with pytest.raises(WorkloadError, match=re.escape(expected)) if expected else nullcontext():
        load_workload(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_the_usual_search(family: str) -> None:
    declared = FAMILIES[family]()
    for extreme in ({}, {"learning_rate": 0.9, "weight_decay": 0.0}):
        near = declared.model_copy(update=extreme)
        for parameters in usual_tuning(near, budget_usd=5).candidates(FAMILIES[family], near.model_dump()):
            FAMILIES[family](**parameters)
