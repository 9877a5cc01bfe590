"""An exponential moving average of the weights (Polyak averaging), step by step."""

from __future__ import annotations

import copy

import torch

from millrace.models.predictor import Predictor

RUNNING = "running_"
"""Buffers whose names begin so change in training: the mean and variance of batch normalisation."""


class Average:
    """A predictor whose weights follow those of another one."""

    def __init__(self, trained: Predictor, decay: float) -> None:
        """`trained` is fitted: its buffers, except those of RUNNING, do not change from here on."""
        self.predictor, self._decay = copy.deepcopy(trained).eval().requires_grad_(False), decay
        self._mine, self._its = _followed(self.predictor), _followed(trained)

    def follow(self, step: int) -> None:
        """Take in the weights after `step`, counted from 0 over the whole training.

        The first steps count for more. Otherwise the untrained weights would have a weight for hundreds of steps."""
        decay = min(self._decay, (1 + step) / (10 + step))
        # mine += (1 - decay) * (its - mine), in one call for all tensors.
        torch._foreach_lerp_(self._mine, self._its, 1 - decay)


def _followed(predictor: Predictor) -> list[torch.Tensor]:
    """The weights and the changing buffers, which share their memory with the predictor."""
    buffers = [value for name, value in predictor.named_buffers() if name.rpartition(".")[2].startswith(RUNNING)]
    return [parameter.detach() for parameter in predictor.parameters()] + buffers
