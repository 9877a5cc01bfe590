"""A network over texts, images, histories and the table's columns; a row may lack any of them.

In training, inputs are left out at random (ModDrop, Neverova et al. 2015, arXiv 1501.00102). A learnt vector stands for
a missing input. Axes: N rows, M inputs (the table is the last one), D numbers of an input, F numbers of the table, C
channels of an image, W numbers out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from millrace.features.signature import JOINED, Signature, TensorSpec
from millrace.models.bag.network import NgramBag
from millrace.models.cnn.augmentation import augmented
from millrace.models.cnn.brightness import Brightness
from millrace.models.cnn.image_trunk import ImageTrunk, standardised
from millrace.models.cnn.steps_trunk import StepsTrunk
from millrace.models.columns import Columns
from millrace.models.multimodal.declaration import Multimodal


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
        self.options = parameters

    def fit(self, pixels: Tensor) -> None:
        """Do nothing: all of this trunk is learnt."""

    def forward(self, pixels: Tensor) -> Tensor:
        x, given = standardised(pixels), self.options  # (N, C, H, W)
        if self.training and (given.rotation or given.scale or given.shift):
            x = augmented(x, rotation=given.rotation, scale=given.scale, shift=given.shift)
        return super().forward(x)  # (N, `width`)


def trunk_of(spec: TensorSpec, parameters: Multimodal) -> Trunk:
    """The untrained trunk for one text, image or history."""
    if spec.kind == "image":
        return RawImages(spec, parameters)
    if spec.kind == "history":
        return StepsTrunk(spec, parameters.channels, parameters.dropout)
    return NgramBag(spec.name, spec.cardinalities[0] or 1, parameters.dimension, parameters.dropout)


def entry_of(trunk: Trunk, dimension: int) -> nn.Module:
    """A layer that brings a trunk's output to `dimension` numbers; the identity if it has that many already."""
    return nn.Identity() if trunk.width == dimension else nn.Sequential(nn.Linear(trunk.width, dimension), nn.GELU())


class MultimodalNetwork(nn.Module):
    """The tensors of two inputs or more in; raw numbers (N, W) out."""

    def __init__(self, parameters: Multimodal, signature: Signature, width: int) -> None:
        super().__init__()
        # A trunk for each input but the table, and a layer that brings its output to `dimension` numbers.
        own = [spec for spec in signature if spec.name not in JOINED]
        self.names, self.options = [spec.name for spec in own], parameters
        trunks = [trunk_of(spec, parameters) for spec in own]
        self.trunks = nn.ModuleList(trunks)  # type: ignore[arg-type]
        self.entries = nn.ModuleList(entry_of(trunk, parameters.dimension) for trunk in trunks)
        self.columns = Columns(signature)
        self.images = [spec.name for spec in own if spec.kind == "image" and parameters.brightness]
        self.brightness = nn.ModuleList(Brightness(spec) for spec in own if spec.name in self.images)
        # What stands for a missing input: learnt, and 0 in the beginning.
        self.missing_MD = nn.Parameter(torch.zeros(len(own), parameters.dimension))
        self.missing_F = None if self.columns.is_empty else nn.Parameter(torch.zeros(self.columns.width))
        seen = sum(bright.width for bright in self.brightness)  # type: ignore[misc]
        state = len(own) * parameters.dimension + seen + self.columns.width
        self.linear = nn.Linear(state, width)
        self.hidden = nn.Linear(state, parameters.hidden) if parameters.hidden else None
        self.head = nn.Linear(parameters.hidden, width, bias=False) if parameters.hidden else None

    def fit(self, tensors: Mapping[str, Tensor], target_N: Tensor) -> None:
        self.columns.fit(tensors, target_N)
        for name, trunk in zip(self.names, self.trunks, strict=True):
            trunk.fit(tensors[name])  # type: ignore[operator]
        for name, bright in zip(self.images, self.brightness, strict=True):
            bright.fit(tensors[name])  # type: ignore[operator]

    def forward(self, **tensors: Tensor) -> Tensor:
        # Which inputs are there; in training some of them are left out.
        known_NM = self._known(tensors)  # (N, M)
        if self.training and self.options.left_out:
            known_NM = some_left_out(known_NM, self.options.left_out)  # (N, M)
        # Each input, or what stands for it: the trunks, the brightness of images, the columns.
        parts = []
        for place, (name, trunk, entry) in enumerate(zip(self.names, self.trunks, self.entries, strict=True)):
            seen = entry(trunk(tensors[name]))  # (N, D)
            parts.append(torch.where(known_NM[:, place, None], seen, self.missing_MD[place]))  # (N, D)
        for name, bright in zip(self.images, self.brightness, strict=True):
            place = self.names.index(name)
            parts.append(known_NM[:, place, None].float() * bright(tensors[name]))  # (N, 2 C), 0 if it is missing
        if self.missing_F is not None:
            parts.append(torch.where(known_NM[:, -1:], self.columns(tensors), self.missing_F))  # (N, F)
        # One linear layer over all of them, and a hidden layer beside it.
        state = torch.cat(parts, dim=1)  # (N, inputs D + images 2 C + F)
        raw_NW: Tensor = self.linear(state)
        if self.hidden is not None and self.head is not None:
            inner = functional.gelu(self.hidden(state))  # (N, hidden)
            inner = functional.dropout(inner, self.options.dropout, self.training)
            raw_NW = raw_NW + self.head(inner)  # (N, W)
        return raw_NW

    def _known(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Which inputs each row has (N, M). The table is there if any of its cells is."""
        found = [_is_known(tensors[name]) for name in self.names]
        table = [_is_known(tensors[name]) for name in JOINED if name in tensors]
        if table:
            found.append(torch.stack(table, dim=1).any(1))
        return torch.stack(found, dim=1)


def _is_known(x: Tensor) -> Tensor:
    """Whether each row has anything in this tensor (N): a number, or an id or a sample above 0."""
    cells = x.flatten(1)
    return ~cells.isnan().all(1) if x.is_floating_point() else (cells != 0).any(1)


def some_left_out(known_NM: Tensor, share: float) -> Tensor:
    """Which inputs are there when each known one is left out with this probability (N, M).

    A row that would lose all of its inputs keeps them."""
    kept_NM = known_NM & (torch.rand(known_NM.shape, device=known_NM.device) >= share)
    return torch.where(kept_NM.any(1, keepdim=True), kept_NM, known_NM)
