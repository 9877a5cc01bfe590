"""A residual network over one standardised image (He et al. 2016, arXiv 1512.03385), the table's columns beside it.

N rows, C channels, H × W pixels, W numbers out. Each image is standardised by its own mean and
deviation, so a darker camera changes nothing. Batch normalisation is folded into fixed numbers when it answers: rows do
not touch each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from millrace.features.signature import JOINED, Signature
from millrace.models.cnn.augmentation import augmented, shifted
from millrace.models.cnn.declaration import Cnn
from millrace.models.columns import Columns
from millrace.models.entrance import Entrance


class ConvolutionalNetwork(nn.Module):
    """One tensor (N, C, H, W) of uint8, `numbers` and `categories` if there are any, in; raw numbers (N, W) out."""

    def __init__(self, parameters: Cnn, signature: Signature, width: int) -> None:
        super().__init__()
        [image] = [spec for spec in signature if spec.name not in JOINED]
        self.image, self.options, self.columns = image.name, parameters, Columns(signature)
        self.entrance = Entrance(image.name, axes=3)
        first, *_, last = parameters.channels[0], *parameters.channels
        self.stem = nn.Sequential(nn.Conv2d(image.shape[0] or 1, first, 3, padding=1, bias=False), _Norm(first))
        steps = pairwise([first, *parameters.channels])
        self.blocks = nn.Sequential(*(_Block(a, b, stride=2 if place else 1) for place, (a, b) in enumerate(steps)))
        self.hidden = nn.Linear(2 * last + self.columns.width, parameters.hidden)
        self.head = nn.Linear(parameters.hidden, width)

    def fit(self, tensors: Mapping[str, Tensor], target_N: Tensor) -> None:
        self.columns.fit(tensors, target_N)

    def forward(self, **tensors: Tensor) -> Tensor:
        x, given = self.entrance(_standardised(tensors[self.image])), self.options
        if self.training and (given.rotation or given.scale or given.shift):
            x = augmented(x, rotation=given.rotation, scale=given.scale, shift=given.shift)
        if self.training or not given.answer_shift:
            return self._numbers(self._seen(x), tensors)
        # One copy after the other: five at once would take five times the memory.
        first_NW, *others = (self._numbers(self._seen(view), tensors) for view in shifted(x, given.answer_shift))
        for other_NW in others:
            first_NW = first_NW + other_NW
        return first_NW / (1 + len(others))

    def _seen(self, x: Tensor) -> Tensor:
        """What the convolutions make of images: mean and maximum of each channel."""
        x = self.blocks(functional.relu(self.stem(x)))
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)

    def _numbers(self, seen_NF: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        state = functional.gelu(self.hidden(self.columns.beside(seen_NF, tensors)))
        found: Tensor = self.head(functional.dropout(state, self.options.dropout, self.training))
        return found


def _standardised(image: Tensor) -> Tensor:
    """Each image minus its mean, by its deviation.

    Sums of whole numbers are exact in float64 in whatever order they are added: an engine adds an image that does not
    begin at a multiple of its registers' width in another order, which is one bit of its answer in company."""
    exact = image.double()
    mean = exact.mean((1, 2, 3), keepdim=True)
    deviation = (exact.square().mean((1, 2, 3), keepdim=True) - mean.square()).clamp(min=0).sqrt()
    return (image.float() - mean.float()) / (deviation.float() + 1.0)


class _Block(nn.Module):
    """Two 3 × 3 convolutions, whose result is added to the block's input; that is projected where shapes differ."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.second = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(_Norm(channels_out) for _ in range(2))
        has_other_shape = stride > 1 or channels_in != channels_out
        self.past = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False) if has_other_shape else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.norms[0](self.first(x)))
        return functional.relu(self.norms[1](self.second(inner)) + self.past(x))


class _Norm(nn.BatchNorm2d):
    """Without the count of batches: it is in no graph, and with a fixed momentum nothing reads it."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.num_batches_tracked = None

    def _load_from_state_dict(self, *given: Any) -> None:
        """Torch's own would add a count to a state that has none, and then find it unexpected."""
        nn.Module._load_from_state_dict(self, *given)


def build(parameters: Cnn, signature: Signature, width: int) -> ConvolutionalNetwork:
    """The untrained network that gives `width` numbers per row."""
    return ConvolutionalNetwork(parameters, signature, width)
