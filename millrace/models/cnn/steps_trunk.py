"""The trunk of a causal residual network over the steps of one history (Bai et al. 2018, arXiv 1803.01271).

Each block looks twice as far back as the block before it, and no step sees a later step. Three blocks see 29 steps.
Axes: N rows, T steps, F columns, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from millrace.features.signature import TensorSpec
from millrace.models.cnn.norm import Norm
from millrace.models.steps import Steps

KERNEL = 3


class StepsTrunk(nn.Module):
    """Histories (N, T, F) in; (N, `width`) out.

    The output has, for each channel of the last block, its value at the last step and its largest value; then the last
    step itself."""

    def __init__(self, spec: TensorSpec, channels: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.steps = Steps((spec,))
        # Twice the columns come in, since each has a mark for missing cells. 2**place: each block looks twice as far.
        ways = pairwise([2 * self.steps.features, *channels])
        self.blocks = nn.Sequential(*(_Block(a, b, 2**place, dropout) for place, (a, b) in enumerate(ways)))
        self.width = 2 * channels[-1] + 2 * self.steps.features

    def fit(self, steps_NTF: Tensor) -> None:
        self.steps.fit({self.steps.name: steps_NTF})

    def forward(self, steps_NTF: Tensor) -> Tensor:
        x = torch.cat(self.steps({self.steps.name: steps_NTF}), dim=2).transpose(1, 2)  # (N, 2 F, T)
        found = self.blocks(x)  # (N, C, T)
        # The last step itself goes to the head too: most series stay near to where they were.
        return torch.cat([found[:, :, -1], found.amax(2), x[:, :, -1]], dim=1)  # (N, 2 C + 2 F)


class _Block(nn.Module):
    """Two causal convolutions. Their result is added to the block's input, which is projected if channels differ."""

    def __init__(self, channels_in: int, channels_out: int, distance: int, dropout: float) -> None:
        """Make the layers; `distance` is the distance between the steps that a convolution reads (dilation)."""
        super().__init__()
        self.before, self.dropout = (KERNEL - 1) * distance, dropout
        self.first = nn.Conv1d(channels_in, channels_out, KERNEL, dilation=distance, bias=False)
        self.second = nn.Conv1d(channels_out, channels_out, KERNEL, dilation=distance, bias=False)
        self.norms = nn.ModuleList(Norm(channels_out) for _ in range(2))
        self.past = nn.Conv1d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.norms[0](self.first(self._behind(x))))  # (N, C, T)
        inner = functional.dropout(inner, self.dropout, self.training)
        return functional.relu(self.norms[1](self.second(self._behind(inner))) + self.past(x))  # (N, C, T)

    def _behind(self, x: Tensor) -> Tensor:
        """The input with zeros before its first step. So T steps stay T, and no step looks ahead."""
        return functional.pad(x, (self.before, 0))
