"""A frozen backbone for images: blocks of narrow and wide convolutions, learnt on other images.

Sandler et al. 2018, MobileNetV2 (arXiv 1801.04381); Tan and Le 2019, EfficientNet (arXiv 1905.11946), here without
squeeze and excitation, as EfficientNet-Lite is. The statistics of batch normalisation are within the weights.
Axes: N rows, C channels, H × W pixels, D numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from millrace.features.signature import TensorSpec

CHANNELS = 3
"""The channels that a backbone has learnt to see; those of any other image are taken together as one grey."""
MIDDLE, SPAN = 127.0, 128.0
"""A sample from 0 to 255 becomes about -1 to 1."""


class Backbone(nn.Module):
    """Images (N, C, H, W) of uint8 in; out come the means of the channels behind each stage (N, D).

    A stage is the blocks with equal channels. Edges and textures are in the first stages, what a photo shows in the
    last ones. The sizes are the side to which an image is scaled and the channels of the first convolution; then of
    each block its wide channels, its channels, its kernel and its stride."""

    def __init__(self, spec: TensorSpec) -> None:
        super().__init__()
        self.side, channels, *sizes = spec.pretrained
        self.stem = _Convolution(CHANNELS, channels, kernel=3, stride=2)
        each = [sizes[at : at + 4] for at in range(0, len(sizes), 4)]
        before = [channels, *(after for _, after, *_ in each)]
        self.blocks = nn.ModuleList(_Block(channels, *of) for channels, of in zip(before, each, strict=False))
        following = [*before[2:], 0]
        self.ends_stage = [after != one for after, one in zip(before[1:], following, strict=True)]
        self.width = sum(after for after, ends in zip(before[1:], self.ends_stage, strict=True) if ends)

    def forward(self, pixels: Tensor) -> Tensor:
        x = (pixels.float() - MIDDLE) / SPAN  # (N, C, H, W)
        if x.shape[1] != CHANNELS:
            x = x.mean(1, keepdim=True).expand(-1, CHANNELS, -1, -1)
        is_smaller = max(x.shape[2:]) > self.side
        x = functional.interpolate(x, (self.side, self.side), mode="bilinear", antialias=is_smaller)
        x, seen = functional.relu6(self.stem(x)), []
        for block, ends_stage in zip(self.blocks, self.ends_stage, strict=True):
            x = block(x)
            seen += [x.mean((2, 3))] * ends_stage
        return torch.cat(seen, dim=1)

    def batches(self, pixels: npt.NDArray[np.uint8], size: int) -> Iterator[tuple[slice, npt.NDArray[np.uint8]]]:
        """The places of images that are encoded together, and these images."""
        for at in range(0, len(pixels), size):
            yield slice(at, at + size), pixels[at : at + size]


class _Block(nn.Module):
    """From few channels to many, over neighbouring pixels, and back to few; the block's input is added if it fits."""

    def __init__(self, before: int, wide: int, after: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.expand = _Convolution(before, wide) if wide != before else None
        self.depthwise = _Convolution(wide, wide, kernel=kernel, stride=stride, groups=wide)
        self.project = _Convolution(wide, after)
        self.is_added = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else functional.relu6(self.expand(x))
        found: Tensor = self.project(functional.relu6(self.depthwise(wide)))
        return x + found if self.is_added else found


class _Convolution(nn.Conv2d):
    """A convolution whose padding makes ⌈H / stride⌉ pixels of H, with one more at the end if it is odd."""

    def __init__(self, before: int, after: int, *, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(before, after, kernel, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        [kernel, _], [stride, _] = self.kernel_size, self.stride
        padded = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in (x.shape[3], x.shape[2])]
        return super().forward(functional.pad(x, [end for all_ in padded for end in (all_ // 2, all_ - all_ // 2)]))
