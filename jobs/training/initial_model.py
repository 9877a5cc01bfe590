"""Reads what a training starts from: a model out of the channel `weights`, a frozen encoder out of `pretrained`."""

from __future__ import annotations

from pathlib import Path

from millrace.artefact.artefact import digest, read_archive
from millrace.errors import ArtefactError, SettingsError
from millrace.features.catalogue import Features
from millrace.jobs.runtime import TrainingPlaces
from millrace.messages.training_job import PRETRAINED_CHANNEL, WEIGHTS_CHANNEL
from millrace.models.initial_model import FIELD, InitialModel
from millrace.models.pretrained import PretrainedEncoder, read_encoder
from millrace.workload.training import Training


def initial_model(places: TrainingPlaces, training: Training) -> InitialModel | None:
    """The declared initial model; None if the workload declares none. Raises ArtefactError for another digest."""
    declared = training.weights
    if declared is None:
        return None
    file, is_frozen = places.channel(WEIGHTS_CHANNEL) / declared.source.rpartition("/")[2], declared.freeze == "trunk"
    # An archive is known by the model's digest and says what its words stand for. Weights alone are known by the digest
    # of their file, and say nothing.
    if declared.is_archive:
        artefact = read_archive(file, approved=declared.digest.removeprefix("sha256:"))
        found = InitialModel(weights=artefact.weights, description=artefact.description, is_frozen=is_frozen)
    else:
        found = InitialModel(weights=_checked(file, declared.digest), description=None, is_frozen=is_frozen)
    print(f"starts from {declared.source} {declared.digest}, trunk {'frozen' if is_frozen else 'tuned'}")
    return found


def _checked(file: Path, expected: str) -> bytes:
    content = file.read_bytes()
    if (came := f"sha256:{digest(content)}") != expected:
        raise ArtefactError(f"{FIELD}: {file.name}: expected {expected}, got {came}")
    return content


def pretrained_encoder(places: TrainingPlaces, training: Training, features: Features) -> PretrainedEncoder | None:
    """The declared encoder, for the features that take it; None if the workload declares none.

    Raises ArtefactError for a file with another digest or licence."""
    declared = training.pretrained
    if declared is None:
        return None
    # The name of the file says nothing: a deployment names it by its content.
    files = sorted(places.channel(PRETRAINED_CHANNEL).glob("*.safetensors"))
    if len(files) != 1:
        came = [path.name for path in files]
        raise SettingsError(where=PRETRAINED_CHANNEL, field="(files)", expected="one *.safetensors", came=came)
    found = read_encoder(files[0].read_bytes(), declared, training.family, features)
    origin = found.file.origin
    print(f"reads {', '.join(found.features)} by {origin.name}, {origin.licence}, {declared.digest}")
    return found
