"""Reads the vectors of a pre-trained part out of the input channel `pretrained`."""

from __future__ import annotations

from millrace.errors import SettingsError
from millrace.features.catalogue import Features
from millrace.features.tokens import Tokens
from millrace.jobs.runtime import TrainingPlaces
from millrace.messages.training_job import PRETRAINED_CHANNEL
from millrace.models.pretrained import PretrainedVectors, read_vectors
from millrace.workload.training import Training


def pretrained_vectors(places: TrainingPlaces, training: Training, features: Features) -> PretrainedVectors | None:
    """The declared vectors, for the features that take them; None if the workload declares none.

    Raises ArtefactError for a file with another digest or licence."""
    declared = training.pretrained
    if declared is None:
        return None
    # The name of the file says nothing: a deployment names it by its content.
    files = sorted(places.channel(PRETRAINED_CHANNEL).glob("*.safetensors"))
    if len(files) != 1:
        came = [path.name for path in files]
        raise SettingsError(where=PRETRAINED_CHANNEL, field="(files)", expected="one *.safetensors", came=came)
    texts = tuple(one.name for one in features if isinstance(one, Tokens))
    found = read_vectors(files[0].read_bytes(), declared, texts)
    said = f"{found.file.name}, {found.file.licence}, {declared.digest}"
    print(f"takes the vectors of {said} for {', '.join(texts)}, {declared.mode}")
    return found
