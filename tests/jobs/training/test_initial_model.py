"""A training starts from the model that its channel brings: by its digest, frozen or tuned."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from millrace.artefact.artefact import ARCHIVE, Artefact, Digests, digest, read_archive, write_archive
from millrace.errors import ArtefactError, SettingsError
from millrace.features.number import Number
from millrace.jobs.runtime import TrainingPlaces
from millrace.jobs.training.initial_model import initial_model
from millrace.jobs.training.loader import Resident
from millrace.jobs.training.loop import Trained, TrainingInputs, train
from millrace.messages.training_job import WEIGHTS_CHANNEL
from millrace.models.initial_model import InitialModel
from millrace.workload.training import InitialWeights, Training
from tests import builders
from tests.jobs.training.inputs import training_inputs

URI = "s3://models/rows/1/model.tar.gz"
FEATURES = tuple(Number(name=name) for name in "abc")


def examples(rows: int, seed: int) -> Resident:
    """Class 1 where the product of two columns is above 0: nothing that a line could find."""
    x_NF = torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed))
    return Resident(tensors={"numbers": x_NF}, target_N=(x_NF[:, 0] * x_NF[:, 1] > 0).float())


def inputs(rows: int, **parameters: object) -> TrainingInputs:
    given = {"hidden": (32,), "epochs": 15, "learning_rate": 0.02, "dropout": 0.0, "patience": 15, "seed": 0}
    return training_inputs(examples(rows, 0), examples(500, 5), **given | parameters)


@pytest.fixture(scope="module")
def source() -> Trained:
    return train(inputs(2000))


@pytest.fixture
def artefact(source: Trained) -> Artefact:
    weights = save({name: value.contiguous() for name, value in source.predictor.state_dict().items()})
    digests = dict.fromkeys(("data", "contract", "config", "code"), "")
    description = builders.description(
        features=FEATURES, digests=Digests(**digests, weights=digest(weights), onnx=digest(b"")), torch=""
    )
    return Artefact(description=description, weights=weights, onnx=b"", history=b"")


def places_with(folder: Path, artefact: Artefact) -> tuple[TrainingPlaces, str]:
    """A job's folders with the channel, and the digest of what is in it."""
    (folder / "input" / "config").mkdir(parents=True)
    (folder / "input" / "config" / "inputdataconfig.json").write_text(json.dumps({WEIGHTS_CHANNEL: {}}))
    (folder / "input" / "data" / WEIGHTS_CHANNEL).mkdir(parents=True)
    archive = folder / "input" / "data" / WEIGHTS_CHANNEL / ARCHIVE
    write_archive(archive, artefact)
    return TrainingPlaces(root=folder), read_archive(archive).digest


def training(**weights: str) -> Training:
    declared = InitialWeights(**{"source": URI} | weights) if weights else None
    return Training.model_construct(family="feedforward", weights=declared)


def loss(trained: Trained) -> float:
    return min(epoch.validation_loss for epoch in trained.history)


def test_few_rows_are_enough_for_a_head_on_a_trunk_that_has_learnt(
    source: Trained, artefact: Artefact, tmp_path: Path
) -> None:
    places, came = places_with(tmp_path, artefact)
    given = initial_model(places, training(digest=f"sha256:{came}", freeze="trunk"))
    assert given is not None
    few = inputs(128, epochs=3)
    started = train(dataclasses.replace(few, initial=given))
    assert loss(started) < 0.5 * loss(train(few))
    mine, its = started.predictor.state_dict(), source.predictor.state_dict()
    assert {name for name in mine if not torch.equal(mine[name], its[name])} <= {
        "network.head.weight",
        "network.head.bias",
    }


def test_a_model_of_another_digest_is_refused(artefact: Artefact, tmp_path: Path) -> None:
    places, _ = places_with(tmp_path, artefact)
    with pytest.raises(ArtefactError, match="expected the members that were approved, digest 0000"):
        initial_model(places, training(digest=f"sha256:{'0' * 64}"))


def test_weights_alone_are_taken_by_the_digest_of_their_file(artefact: Artefact, tmp_path: Path) -> None:
    places, _ = places_with(tmp_path, artefact)
    (tmp_path / "input" / "data" / WEIGHTS_CHANNEL / "trunk.safetensors").write_bytes(artefact.weights)
    source, came = "s3://models/trunks/trunk.safetensors", digest(artefact.weights)
    given = initial_model(places, training(source=source, digest=f"sha256:{came}", freeze="trunk"))
    assert given == InitialModel(weights=artefact.weights, description=None, is_frozen=True)
    few = inputs(128, epochs=3)
    assert loss(train(dataclasses.replace(few, initial=given))) < 0.5 * loss(train(few))
    expected = f"training.weights: trunk.safetensors: expected sha256:{'0' * 64}, got sha256:{came}"
    with pytest.raises(ArtefactError, match=expected):
        initial_model(places, training(source=source, digest=f"sha256:{'0' * 64}"))


def test_without_its_channel_the_job_says_so(artefact: Artefact, tmp_path: Path) -> None:
    places, came = places_with(tmp_path, artefact)
    assert initial_model(places, training()) is None
    (tmp_path / "input" / "config" / "inputdataconfig.json").write_text("{}")
    with pytest.raises(SettingsError, match="weights: expected a channel of this name"):
        initial_model(places, training(digest=f"sha256:{came}"))
