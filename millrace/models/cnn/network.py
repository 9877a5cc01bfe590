"""A residual network over one standardised image or over the steps of one history, beside the table's columns.

Axes: N rows, C channels, H × W pixels, T steps, F numbers of the trunk, D numbers of the backbone, G numbers of the
columns, W numbers out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from millrace.features.signature import JOINED, Signature
from millrace.models.backbone import Backbone
from millrace.models.cnn.augmentation import augmented, shifted
from millrace.models.cnn.brightness import Brightness
from millrace.models.cnn.declaration import Cnn
from millrace.models.cnn.image_trunk import ImageTrunk, standardised
from millrace.models.cnn.steps_trunk import StepsTrunk
from millrace.models.columns import Columns
from millrace.models.frozen import Frozen


class ImageNetwork(nn.Module):
    """One image (N, C, H, W) of uint8 in, with `numbers` and `categories` if there are any; raw numbers (N, W) out.

    The trunk sees the standardised image. Behind it, the image's brightness and contrast are joined to its output, and
    what a pre-trained backbone says of the image as it is."""

    def __init__(self, parameters: Cnn, signature: Signature, width: int) -> None:
        super().__init__()
        [image] = [spec for spec in signature if spec.name not in JOINED]
        self.image, self.options = image.name, parameters
        self.trunk, self.columns = ImageTrunk(image, parameters.channels), Columns(signature)
        self.brightness = Brightness(image) if parameters.brightness else None
        self.backbone = Frozen(image.name, Backbone(image)) if image.pretrained else None
        # The hidden layer reads the trunk, two numbers of brightness for each channel, the backbone, and the columns.
        seen = self.trunk.width + sum(module.width for module in (self.brightness, self.backbone) if module)
        self.hidden = nn.Linear(seen + self.columns.width, parameters.hidden)
        self.head = nn.Linear(parameters.hidden, width)

    def fit(self, tensors: Mapping[str, Tensor], target_N: Tensor) -> None:
        self.columns.fit(tensors, target_N)
        if self.brightness:
            self.brightness.fit(tensors[self.image])
        if self.backbone:
            self.backbone.fit(tensors)

    def forward(self, **tensors: Tensor) -> Tensor:
        x, given = standardised(tensors[self.image]), self.options  # (N, C, H, W)
        if self.training and (given.rotation or given.scale or given.shift):
            x = augmented(x, rotation=given.rotation, scale=given.scale, shift=given.shift)  # (N, C, H, W)
        beside = [*self._beside(tensors)]
        if self.training or not given.answer_shift:
            return self._numbers(self.trunk(x), beside)
        # The mean over five shifted copies, one after the other: five at once would take five times the memory.
        first_NW, *others = (self._numbers(self.trunk(view), beside) for view in shifted(x, given.answer_shift))
        for other_NW in others:
            first_NW = first_NW + other_NW
        return first_NW / (1 + len(others))

    def _beside(self, tensors: Mapping[str, Tensor]) -> Iterator[Tensor]:
        """What the hidden layer reads beside the trunk, whatever the copy: (N, 2 C), (N, D) and (N, G)."""
        if self.brightness:
            yield self.brightness(tensors[self.image])
        if self.backbone:
            yield self.backbone(tensors)
        if not self.columns.is_empty:
            yield self.columns(tensors)

    def _numbers(self, seen_NF: Tensor, beside: Sequence[Tensor]) -> Tensor:
        """The raw numbers (N, W) from the trunk's output, and from what is read beside it."""
        state = functional.gelu(self.hidden(torch.cat([seen_NF, *beside], dim=1)))  # (N, hidden)
        found: Tensor = self.head(functional.dropout(state, self.options.dropout, self.training))  # (N, W)
        return found


class StepsNetwork(nn.Module):
    """One history (N, T, F) of float32 in, with `numbers` and `categories` if there are any; raw numbers (N, W) out."""

    def __init__(self, parameters: Cnn, signature: Signature, width: int) -> None:
        super().__init__()
        [past] = [spec for spec in signature if spec.name not in JOINED]
        self.past, self.dropout = past.name, parameters.dropout
        self.trunk, self.columns = StepsTrunk(past, parameters.channels, parameters.dropout), Columns(signature)
        self.hidden = nn.Linear(self.trunk.width + self.columns.width, parameters.hidden)
        self.head = nn.Linear(parameters.hidden, width)

    def fit(self, tensors: Mapping[str, Tensor], target_N: Tensor) -> None:
        self.columns.fit(tensors, target_N)
        self.trunk.fit(tensors[self.past])

    def forward(self, **tensors: Tensor) -> Tensor:
        seen_NF = self.trunk(tensors[self.past])  # (N, F)
        state = functional.gelu(self.hidden(self.columns.beside(seen_NF, tensors)))  # (N, hidden), of F + G
        found: Tensor = self.head(functional.dropout(state, self.dropout, self.training))  # (N, W)
        return found


def build(parameters: Cnn, signature: Signature, width: int) -> ImageNetwork | StepsNetwork:
    """The untrained network for the image or the history of the signature, with `width` numbers out per row."""
    [own] = [spec for spec in signature if spec.name not in JOINED]
    network = ImageNetwork if own.kind == "image" else StepsNetwork
    return network(parameters, signature, width)
