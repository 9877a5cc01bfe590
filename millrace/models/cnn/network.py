"""A convolutional network: blocks of two convolutions over one standardised image, the table's columns beside it.

N rows, C channels, H × W pixels, W numbers out. Each image is standardised by its own mean and deviation, so a darker
camera changes nothing. Batch normalisation is folded into fixed numbers when it answers: rows do not touch each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from millrace.features.signature import JOINED, Signature
from millrace.models.cnn.declaration import Cnn
from millrace.models.columns import Columns


class ConvolutionalNetwork(nn.Module):
    """One tensor (N, C, H, W) of uint8, `numbers` and `categories` if there are any, in; raw numbers (N, W) out."""

    def __init__(self, parameters: Cnn, signature: Signature, width: int) -> None:
        super().__init__()
        [image] = [spec for spec in signature if spec.name not in JOINED]
        self.image, self.shift, self.dropout = image.name, parameters.shift, parameters.dropout
        self.columns = Columns(signature)
        steps = list(pairwise([image.shape[0] or 1, *parameters.channels]))
        self.blocks = nn.ModuleList(_block(a, b) for a, b in steps)
        self.hidden = nn.Linear(2 * parameters.channels[-1] + self.columns.width, parameters.hidden)
        self.head = nn.Linear(parameters.hidden, width)

    def fit(self, tensors: Mapping[str, Tensor]) -> None:
        self.columns.fit(tensors)

    def forward(self, **tensors: Tensor) -> Tensor:
        x = _standardised(tensors[self.image])
        if self.training and self.shift:
            x = self._shifted(x)
        for place, block in enumerate(self.blocks):
            x = block(functional.max_pool2d(x, 2) if place else x)
        pooled = torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)
        state = functional.gelu(self.hidden(self.columns.beside(pooled, tensors)))
        found: Tensor = self.head(functional.dropout(state, self.dropout, self.training))
        return found

    def _shifted(self, x: Tensor) -> Tensor:
        """All images of the batch moved by one random step, which the next batch draws anew."""
        across, down = (int(at) for at in torch.randint(0, 2 * self.shift + 1, (2,)))
        height, width = x.shape[2:]
        padded = functional.pad(x, (self.shift,) * 4, mode="replicate")
        return padded[:, :, down : down + height, across : across + width]


def _standardised(image: Tensor) -> Tensor:
    """Each image minus its mean, by its deviation.

    Sums of whole numbers are exact in float64 in whatever order they are added: an engine adds an image that does not
    begin at a multiple of its registers' width in another order, which is one bit of its answer in company."""
    exact = image.double()
    mean = exact.mean((1, 2, 3), keepdim=True)
    deviation = (exact.square().mean((1, 2, 3), keepdim=True) - mean.square()).clamp(min=0).sqrt()
    return (image.float() - mean.float()) / (deviation.float() + 1.0)


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (channels_in, channels_out):
        layers += [nn.Conv2d(channels, channels_out, 3, padding=1, bias=False), _Norm(channels_out), nn.GELU()]
    return nn.Sequential(*layers)


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
