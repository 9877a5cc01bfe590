"""The trunks of the family `multimodal`: for each kind of input a module with its tensor in and a vector out."""

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
    """The interface of a trunk: one tensor (N, …) in, (N, `width`) out."""

    width: int

    def fit(self, tensor: Tensor) -> None:
        """Take from the training rows whatever is not a learnt weight."""

    def __call__(self, tensor: Tensor) -> Tensor:
        """The vectors (N, `width`)."""


class RawImages(ImageTrunk):
    """Images (N, C, H, W) of uint8 in, each standardised by itself; in training they are turned, scaled and moved."""

    def __init__(self, spec: TensorSpec, parameters: Multimodal) -> None:
        super().__init__(spec, parameters.channels)
        self.options, self.entrance = parameters, Entrance(spec.name, axes=3)

    def fit(self, pixels: Tensor) -> None:
        """Do nothing: all of this trunk is learnt."""

    def forward(self, pixels: Tensor) -> Tensor:
        x, given = self.entrance(standardised(pixels)), self.options  # (N, C, H, W)
        if self.training and (given.rotation or given.scale or given.shift):
            x = augmented(x, rotation=given.rotation, scale=given.scale, shift=given.shift)
        return super().forward(x)  # (N, `width`)


def trunk_of(spec: TensorSpec, parameters: Multimodal) -> Trunk:
    """The untrained trunk for one text, image or history."""
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
    """A layer that brings a trunk's output to `dimension` numbers; the identity if it has that many already."""
    return nn.Identity() if trunk.width == dimension else nn.Sequential(nn.Linear(trunk.width, dimension), nn.GELU())
