"""A residual network over one standardised image or over the steps of one history, beside the table's columns.

Axes: N rows, C channels, H × W pixels, T steps, F numbers of the trunk, G numbers of the columns, W numbers out.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from millrace.features.signature import JOINED, Signature
from millrace.models.cnn.augmentation import augmented, shifted
from millrace.models.cnn.brightness import Brightness
from millrace.models.cnn.declaration import Cnn
from millrace.models.cnn.image_trunk import ImageTrunk, standardised
from millrace.models.cnn.steps_trunk import StepsTrunk
from millrace.models.columns import Columns


class ImageNetwork(nn.Module):
    """One image (N, C, H, W) of uint8 in, with `numbers` and `categories` if there are any; raw numbers (N, W) out.

    The trunk sees the standardised image. Behind it, the image's brightness and contrast are joined to its output."""

    def __init__(self, parameters: Cnn, signature: Signature, width: int) -> None:
        super().__init__()
        [image] = [spec for spec in signature if spec.name not in JOINED]
        self.image, self.options = image.name, parameters
        self.trunk, self.columns = ImageTrunk(image, parameters.channels), Columns(signature)
        self.brightness = Brightness(image) if parameters.brightness else None
        # The hidden layer reads the trunk, two numbers of brightness for each channel, and the columns.
        seen = self.trunk.width + (self.brightness.width if self.brightness else 0)
        self.hidden = nn.Linear(seen + self.columns.width, parameters.hidden)
        self.head = nn.Linear(parameters.hidden, width)

    def fit(self, tensors: Mapping[str, Tensor], target_N: Tensor) -> None:
        self.columns.fit(tensors, target_N)
        if self.brightness:
            self.brightness.fit(tensors[self.image])

    def forward(self, **tensors: Tensor) -> Tensor:
        x, given = standardised(tensors[self.image]), self.options  # (N, C, H, W)
        if self.training and (given.rotation or given.scale or given.shift):
            x = augmented(x, rotation=given.rotation, scale=given.scale, shift=given.shift)  # (N, C, H, W)
        if self.training or not given.answer_shift:
            return self._numbers(self.trunk(x), tensors)
        # The mean over five shifted copies, one after the other: five at once would take five times the memory.
        first_NW, *others = (self._numbers(self.trunk(view), tensors) for view in shifted(x, given.answer_shift))
        for other_NW in others:
            first_NW = first_NW + other_NW
        return first_NW / (1 + len(others))

    def _numbers(self, seen_NF: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """The raw numbers (N, W) from the trunk's output, the brightness and the columns."""
        if self.brightness:
            seen_NF = torch.cat([seen_NF, self.brightness(tensors[self.image])], dim=1)  # (N, F + 2 C)
        state = functional.gelu(self.hidden(self.columns.beside(seen_NF, tensors)))  # (N, hidden), of F + 2 C + G
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
