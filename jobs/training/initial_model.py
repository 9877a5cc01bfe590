"""The model that a training starts from, as the channel `weights` brings them."""

from __future__ import annotations

from jobs.runtime import TrainingPlaces
from millrace.artefact.artefact import ARCHIVE, read_archive
from millrace.messages.training_job import WEIGHTS_CHANNEL
from millrace.models.initial_model import InitialModel
from millrace.workload.training import Training


def initial_model(places: TrainingPlaces, training: Training) -> InitialModel | None:
    """None where the workload declares none; raises ArtefactError for a model of another digest."""
    declared = training.weights
    if declared is None:
        return None
    archive = places.channel(WEIGHTS_CHANNEL) / ARCHIVE
    artefact = read_archive(archive, approved=declared.digest.removeprefix("sha256:"))
    print(
        f"starts from {declared.source} {declared.digest}, trunk {'frozen' if declared.freeze == 'trunk' else 'tuned'}"
    )
    return InitialModel(artefact=artefact, is_frozen=declared.freeze == "trunk")
