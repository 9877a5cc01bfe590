"""The hyperparameters of the family `multimodal`, and which inputs it takes."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.errors import WorkloadError
from millrace.features.signature import JOINED, Signature, TensorSpec
from millrace.models.cnn.declaration import ImageParameters, too_small
from millrace.models.parameters import Schedule, refuse
from millrace.tasks.task import Task


class Multimodal(ImageParameters):
    """A trunk for each text, image and history. One linear layer and one hidden layer read all trunks and the columns.

    In training, inputs are left out at random, so a row may lack any of them: a text without a word, an image that is
    missing or all black, a table with all cells missing. A history that is too short is still refused."""

    network: ClassVar[str] = "millrace.models.multimodal.network:MultimodalNetwork"
    behind_trunk: ClassVar[tuple[str, ...]] = ("columns", "missing_F", "brightness", "linear", "hidden", "head")
    rows_per_pass: ClassVar[RowsPerPass] = RowsPerPass(fewest=2, most=32)
    """The range that suits all of its trunks: the families `bag` and `cnn` have them too."""
    example: ClassVar[Signature] = (
        TensorSpec(name="words", dtype="int64", shape=(12,), cardinalities=(64,)),
        TensorSpec(name="scan", dtype="uint8", shape=(1, 16, 16)),
        TensorSpec(name="past", dtype="float32", shape=(6, 2)),
    )

    dimension: Annotated[int, Field(ge=2, le=1024)] = 32
    """How many numbers each trunk gives to the layers behind."""
    channels: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1, max_length=6)] = (16, 32)
    """The channels of each block of convolutions, over images and over histories."""
    hidden: Annotated[int, Field(ge=0, le=8192)] = 32
    """The units of a hidden layer beside the linear layer; 0 for the linear layer alone."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    left_out: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """The share of the training rows in which an input is left out, drawn for each input by itself.

    No row lacks all inputs."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 8
    batch_size: Annotated[int, Field(ge=8, le=65536)] = 128
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 2e-3
    schedule: Schedule = "cosine"

    def accepts(self, signature: Signature, task: Task) -> None:
        """The family takes two inputs or more: texts, images, histories, and the table as one input; for every task.

        Raises WorkloadError for other inputs, and for an image that is too small for the blocks."""
        own = [spec for spec in signature if spec.name not in JOINED]
        has_table = len(own) < len(signature)
        if not own or len(own) + has_table < 2:
            refuse("multimodal", "a text, an image or a history, and another one or columns beside it", signature)
        for spec in own:
            if spec.kind == "image" and (expected := too_small(spec, blocks=len(self.channels))):
                field = f"prediction.features.{spec.name}"
                raise WorkloadError(where="workload.yaml", field=field, expected=expected, came=spec.shape[1:])
