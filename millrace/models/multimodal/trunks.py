"""A trunk for each kind of input: its tensor in, a vector out."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from millrace.features.signature import TensorSpec
from millrace.models.bag.network import NgramBag
from millrace.models.cnn.augmentation import augmented
from millrace.models.cnn.image_trunk import ImageTrunk, standardised
from millrace.models.cnn.steps_trunk import StepsTrunk
from millrace.models.entrance import Entrance
from millrace.models.multimodal.declaration import Multimodal
from millrace.models.transformer.network import TransformerTrunk


class Trunk(Protocol):
    """A module over one tensor (N, …)."""

    width: int

    def fit(self, tensor: Tensor) -> None:
        """Take what is no learnt weight from the training rows."""

    def __call__(self, tensor: Tensor) -> Tensor:
        """(N, `width`)."""


class RawImages(ImageTrunk):
    """Images (N, C, H, W) of uint8, each standardised by itself; turned, scaled and moved while they train."""

    def __init__(self, spec: TensorSpec, parameters: Multimodal) -> None:
        super().__init__(spec, parameters.channels)
        self.options, self.entrance = parameters, Entrance(spec.name, axes=3)

    def fit(self, pixels: Tensor) -> None:
        """Nothing: all of it is learnt."""

    def forward(self, pixels: Tensor) -> Tensor:
        x, given = self.entrance(standardised(pixels)), self.options  # (N, C, H, W)
        if self.training and (given.rotation or given.scale or given.shift):
            x = augmented(x, rotation=given.rotation, scale=given.scale, shift=given.shift)
        return super().forward(x)  # (N, `width`)


def trunk_of(spec: TensorSpec, parameters: Multimodal) -> Trunk:
    """The untrained trunk of one text, image or history."""
    given = parameters
    if spec.kind == "image":
        return RawImages(spec, given)
    if spec.kind == "history":
        return StepsTrunk(spec, given.channels, given.dropout)
    if given.text == "bag":
        return NgramBag(spec.name, spec.cardinalities[0] or 1, given.dimension, given.dropout)
    return TransformerTrunk(
        spec, dimension=given.dimension, layers=given.layers, heads=given.heads, dropout=given.dropout
    )


def entry_of(trunk: Trunk, dimension: int) -> nn.Module:
    """What brings a trunk's numbers to `dimension`."""
    return nn.Identity() if trunk.width == dimension else nn.Sequential(nn.Linear(trunk.width, dimension), nn.GELU())
