"""The losses of each epoch, from the history in a run's artefact."""

from __future__ import annotations

import json
import math
from typing import Any

from pydantic import Field

from millrace.artefact.artefact import ARCHIVE
from millrace.aws.objects import entries_below, read_object, split_uri
from millrace.console.queries.lineage import CHEAP_BYTES
from millrace.console.queries.stored import unpack
from millrace.errors import ArtefactError
from millrace.messages.envelope import Message
from millrace.names import WorkloadNames


class Epoch(Message):
    """One pass over the training rows."""

    epoch: int = Field(ge=0)
    """Counted from 0."""
    train_loss: float
    validation_loss: float
    validation_error: float
    """The mean error of the answers, as the task counts errors."""
    seconds: float = 0.0


def read_epochs(s3: Any, names: WorkloadNames, run: str) -> tuple[Epoch, ...]:
    """The epochs with finite losses. Empty if the artefact is missing, damaged or larger than CHEAP_BYTES.

    `run` is the name of the train execution."""
    bucket, prefix = split_uri(names.run_uri(run, "training", ""))
    found = [each for each in entries_below(s3, bucket, prefix) if each["Key"].endswith(f"/{ARCHIVE}")]
    if not found or found[-1]["Size"] > CHEAP_BYTES:
        return ()
    try:
        artefact = unpack(read_object(s3, f"s3://{bucket}/{found[-1]['Key']}"))
    except ArtefactError:
        return ()
    epochs = map(Epoch.model_validate, json.loads(artefact.history))
    return tuple(one for one in epochs if math.isfinite(one.train_loss) and math.isfinite(one.validation_loss))
