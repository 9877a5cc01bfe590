"""Models of other seeds, which the gate `stability` asks for: their errors and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from millrace.artefact.artefact import Artefact, Description, description_document, read_folder
from millrace.jobs.runtime import StopSignal, TrainingPlaces
from millrace.jobs.training.job import train
from tests.jobs.conftest import training_root
from tests.jobs.synthetic import workload, write_shop

PARAMETERS = {"hidden": [8], "epochs": 3, "batch_size": 64, "learning_rate": 0.01, "dropout": 0}
GATES = {**workload("regression")["gates"], "stability": {"max_spread": 0.5, "seeds": 2}}


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., Artefact]:
    def trained(name: str, *, seed: int = 0, gates: dict[str, Any] = GATES, **hyperparameters: str) -> Artefact:
        training = {"parameters": PARAMETERS | {"seed": seed}, "walk_forward_steps": 1}
        snapshot = write_shop(tmp_path / name, "regression", training=training, gates=gates)
        places = TrainingPlaces(root=training_root(tmp_path / name / "ml", snapshot, **hyperparameters))
        train(places, StopSignal())
        return read_folder(places.model)

    return trained


def without_own(description: Description) -> Any:
    document = description_document(description)
    return [document["parameters"] | {"seed": 0}, document["features"]]


def test_each_is_the_model_that_a_training_with_that_seed_gives(trained: Callable[..., Artefact]) -> None:
    first, second = trained("first").description, trained("second", seed=1).description
    assert without_own(first) == without_own(second)
    assert len(first.walk_forward) == 1
    assert first.seed_errors[1:] == second.seed_errors[:2], "those of the seeds 1 and 2"
    assert len({*first.seed_errors, *second.seed_errors}) == 4, "and each of four seeds has another"


def test_without_the_gate_none_is_trained(trained: Callable[..., Artefact]) -> None:
    assert trained("plain", gates=workload("regression")["gates"]).description.seed_errors == ()


def test_a_tuning_job_trains_none(trained: Callable[..., Artefact]) -> None:
    assert trained("tuned", learning_rate="0.02").description.seed_errors == ()
