"""Batch normalisation whose state is weights and statistics only."""

from __future__ import annotations

from typing import Any, Self

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class Norm(_BatchNorm):
    """Over the channels of images (N, C, H, W) or of sequences (N, C, T).

    Without torch's count of batches: it is in no graph, and with a fixed momentum nothing reads it."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.num_batches_tracked = None

    def train(self, mode: bool = True) -> Self:
        """Where its weights are frozen, its statistics are too."""
        return super().train(mode and self.weight.requires_grad)

    def _check_input_dim(self, _x: object) -> None:
        """Any number of axes behind the channels."""

    def _load_from_state_dict(self, *given: Any) -> None:
        """Torch's own would add a count to a state that has none, and then find it unexpected."""
        nn.Module._load_from_state_dict(self, *given)
