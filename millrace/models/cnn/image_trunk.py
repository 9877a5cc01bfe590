"""The trunk of a residual network over one standardised image (He et al. 2016, arXiv 1512.03385).

Each image is standardised by its own mean and deviation, so a darker camera changes nothing here. `brightness.py` has
what is lost by that. When the network answers, batch normalisation uses fixed numbers, so rows do not affect each
other. Axes: N rows, C channels, H × W pixels, F numbers out.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from millrace.features.signature import TensorSpec
from millrace.models.cnn.norm import Norm


class ImageTrunk(nn.Module):
    """Standardised images (N, C, H, W) in; mean and maximum of each channel of the last block (N, `width`) out."""

    def __init__(self, spec: TensorSpec, channels: tuple[int, ...]) -> None:
        super().__init__()
        first, *_, last = channels[0], *channels
        self.width = 2 * last
        self.stem = nn.Sequential(nn.Conv2d(spec.shape[0] or 1, first, 3, padding=1, bias=False), Norm(first))
        steps = pairwise([first, *channels])
        self.blocks = nn.Sequential(*(_Block(a, b, stride=2 if place else 1) for place, (a, b) in enumerate(steps)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(functional.relu(self.stem(x)))  # (N, C, H / 2^b, W / 2^b) after b + 1 blocks
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)  # (N, 2 C)


def standardised(image: Tensor) -> Tensor:
    """Each image (N, C, H, W) minus its mean, divided by its deviation."""
    # Sums of whole numbers are exact in float64, in whatever order they are added. That matters: an engine adds an
    # image in another order if it does not begin at a multiple of the registers' width. With float32, the last bit of
    # an answer would depend on the rows before it.
    exact = image.double()
    mean = exact.mean((1, 2, 3), keepdim=True)  # (N, 1, 1, 1)
    deviation = (exact.square().mean((1, 2, 3), keepdim=True) - mean.square()).clamp(min=0).sqrt()
    return (image.float() - mean.float()) / (deviation.float() + 1.0)


class _Block(nn.Module):
    """Two 3 × 3 convolutions. Their result is added to the block's input, which is projected if its shape differs."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.second = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(Norm(channels_out) for _ in range(2))
        has_other_shape = stride > 1 or channels_in != channels_out
        self.past = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False) if has_other_shape else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.norms[0](self.first(x)))  # (N, C, H / stride, W / stride)
        return functional.relu(self.norms[1](self.second(inner)) + self.past(x))
