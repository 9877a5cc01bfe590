"""The hyperparameters of a convolutional network, and which inputs it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from millrace.errors import WorkloadError
from millrace.features.signature import JOINED, Signature, TensorSpec
from millrace.models.parameters import Int8, Parameters, Schedule, refuse

if TYPE_CHECKING:
    from millrace.tasks.task import Task

LAST_SIDE = 4
"""Pixels that are left of an image's side behind the last block, at least."""
OF_IMAGES = frozenset({"rotation", "scale", "shift", "answer_shift", "brightness"})
"""Parameters that an image alone has."""


def too_small(image: TensorSpec, *, blocks: int) -> str:
    """What is expected of an image whose sides the blocks would halve to nothing; empty for one that is large enough.

    Each block after the first halves them."""
    smallest = LAST_SIDE * 2 ** (blocks - 1)
    is_small = min(size for size in image.shape[1:] if size is not None) < smallest
    return f"sides of {smallest} pixels or more for {blocks} blocks" if is_small else ""


class Cnn(Parameters):
    """Convolutions and residual blocks: over an image (ResNet), or over the steps of a history (TCN).

    Of an image each block after the first halves height and width; of a history it looks twice as far back.
    The defaults are for small images of any kind, a few thousand of them. What turns an image into one of another
    answer must be switched off: a 6 of a digit is a 9 when it is turned far enough, a ripe fruit no larger one."""

    network: ClassVar[str] = "millrace.models.cnn.network"
    int8: ClassVar[Int8] = "static"
    behind_trunk: ClassVar[tuple[str, ...]] = ("columns", "brightness", "hidden", "head")
    example: ClassVar[Signature] = (TensorSpec(name="scan", dtype="uint8", shape=(1, 16, 16)),)

    channels: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1, max_length=6)] = (
        16,
        32,
        64,
    )
    hidden: Annotated[int, Field(ge=1, le=8192)] = 64
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    rotation: Annotated[float, Field(ge=0, le=180)] = 10.0
    """Training images are turned by up to so many degrees either way."""
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Training images are made larger or smaller by up to this share of their size."""
    shift: Annotated[int, Field(ge=0, le=64)] = 2
    """Training images are moved by up to so many pixels, the edges repeated."""
    answer_shift: Annotated[int, Field(ge=0, le=8)] = 0
    """An answer is the mean of five: for the image, and for it moved by so many pixels to each side. It takes five
    times as long; 0: one answer for the image as it is."""
    brightness: bool = True
    """Whether mean and deviation of each channel of an image, by which its pixels are standardised, are inputs of their
    own; false where they say the camera and not the answer."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 12
    batch_size: Annotated[int, Field(ge=8, le=65536)] = 64
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 2e-3
    schedule: Schedule = "cosine"
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.99
    patience: Annotated[int, Field(ge=1)] = 12
    """All epochs: while the learning rate is high, the validation loss of few images jumps."""

    def accepts(self, signature: Signature, task: Task) -> None:
        """One image or one history, and numbers and categories, for every task."""
        own = tuple(spec for spec in signature if spec.name not in JOINED)
        if len(own) != 1 or own[0].kind not in ("image", "history"):
            refuse("cnn", "one image or one history, and numbers and categories beside it", signature)
        if own[0].kind == "image":
            self._check_sides(own)
        elif given := sorted(self.model_fields_set & OF_IMAGES):
            field, expected = f"training.parameters.{given[0]}", "no such parameter for a history, which is no image"
            raise WorkloadError(where="workload.yaml", field=field, expected=expected, came="one")

    def _check_sides(self, image: Signature) -> None:
        if expected := too_small(image[0], blocks=len(self.channels)):
            refuse("cnn", expected, image)
