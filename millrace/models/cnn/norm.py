"""Batch normalisation with a state of weights and statistics only."""

from __future__ import annotations

from typing import Any, Self

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class Norm(_BatchNorm):
    """Batch normalisation over the channels of images (N, C, H, W) or of sequences (N, C, T).

    It has no count of batches, unlike torch's. No graph contains that count, and with a fixed momentum nothing reads
    it."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.num_batches_tracked = None

    def train(self, mode: bool = True) -> Self:
        """Set the mode. If the weights are frozen, the mode stays evaluation, so that the statistics are frozen too."""
        return super().train(mode and self.weight.requires_grad)

    def _check_input_dim(self, _x: object) -> None:
        """Allow any number of axes behind the channels."""

    def _load_from_state_dict(self, *given: Any) -> None:
        """Load the state. Torch's own method would add a count to a state without one, and then call it unexpected."""
        nn.Module._load_from_state_dict(self, *given)
