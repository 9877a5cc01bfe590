"""The hyperparameters of the family `cnn`, and which inputs it takes."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from millrace.errors import WorkloadError
from millrace.features.signature import JOINED, Signature, TensorKind, TensorSpec
from millrace.models.parameters import Parameters, Schedule, refuse
from millrace.tasks.task import Task

LAST_SIDE = 4
"""Behind the last block each side of an image must still have this many pixels."""


def too_small(image: TensorSpec, *, blocks: int) -> str:
    """What is expected of an image that is too small for this many blocks, for an error; empty if it is large enough.

    Each block after the first halves the sides."""
    smallest = LAST_SIDE * 2 ** (blocks - 1)
    is_small = min(size for size in image.shape[1:] if size is not None) < smallest
    return f"sides of {smallest} pixels or more for {blocks} blocks" if is_small else ""


class ImageParameters(Parameters):
    """The hyperparameters of every family that reads images: what training does to an image, and what stands beside it.

    A change of images that changes the answer must be switched off: a 6 that is turned far enough is a 9, and a ripe
    fruit may differ from an unripe one by its size."""

    rotation: Annotated[float, Field(ge=0, le=180)] = 10.0
    """Training images are turned by up to this many degrees either way."""
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Training images are made larger or smaller by up to this share of their size."""
    shift: Annotated[int, Field(ge=0, le=64)] = 2
    """Training images are moved by up to this many pixels; their edges are repeated."""
    brightness: bool = True
    """Whether the mean and the deviation of each channel are inputs of their own: the pixels are standardised by them.

    Set it to false if they show the camera and not the answer."""


OF_IMAGES = frozenset({*ImageParameters.__annotations__, "answer_shift"})
"""The parameters that are for images alone."""


class Cnn(ImageParameters):
    """Convolutions with residual blocks, over an image (ResNet) or over the steps of a history (TCN).

    Over an image, each block after the first halves height and width. Over a history, it looks twice as far back. The
    defaults are for a few thousand small images of any kind."""

    network: ClassVar[str] = "millrace.models.cnn.network:build"
    behind_trunk: ClassVar[tuple[str, ...]] = ("columns", "brightness", "hidden", "head")
    takes_one: ClassVar[tuple[TensorKind, ...]] = ("image", "history")
    example: ClassVar[Signature] = (TensorSpec(name="scan", dtype="uint8", shape=(1, 16, 16)),)

    channels: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1, max_length=6)] = (
        16,
        32,
        64,
    )
    """The channels of each block; there are as many blocks."""
    hidden: Annotated[int, Field(ge=1, le=8192)] = 64
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    answer_shift: Annotated[int, Field(ge=0, le=8)] = 0
    """An answer is the mean of five: of the image as it is, and moved by this many pixels to each side.

    That takes five times as long. 0 means one answer, for the image as it is."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 12
    batch_size: Annotated[int, Field(ge=8, le=65536)] = 64
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 2e-3
    schedule: Schedule = "cosine"
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.99
    patience: Annotated[int, Field(ge=1)] = 12
    """As many as there are epochs, so that the training does not stop early.

    While the learning rate is high, the validation loss of few images jumps."""

    def accepts(self, signature: Signature, task: Task) -> None:
        """The family takes one image or one history, with or without numbers and categories, for every task.

        Raises WorkloadError for other inputs, for an image that is too small for the blocks, and for a parameter of
        images beside a history."""
        super().accepts(signature, task)
        own = tuple(spec for spec in signature if spec.name not in JOINED)
        if own[0].kind == "image":
            if expected := too_small(own[0], blocks=len(self.channels)):
                refuse("cnn", expected, own)
        elif given := sorted(self.model_fields_set & OF_IMAGES):
            field, expected = f"training.parameters.{given[0]}", "no such parameter for a history, which is no image"
            raise WorkloadError(where="workload.yaml", field=field, expected=expected, came="one")
