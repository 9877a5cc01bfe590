"""An exponential moving average of the weights (Polyak averaging), step by step."""

from __future__ import annotations

import copy

import torch

from millrace.models.predictor import Predictor

RUNNING = "running_"
"""How the names of those buffers begin that training changes: mean and variance of batch normalisation."""


class Average:
    """A predictor whose weights follow those of another one."""

    def __init__(self, trained: Predictor, decay: float) -> None:
        """`trained` is fitted; its other buffers do not change from here on."""
        self.predictor, self._decay = copy.deepcopy(trained).eval().requires_grad_(False), decay
        self._mine, self._its = _followed(self.predictor), _followed(trained)

    def follow(self, step: int) -> None:
        """Take in the weights after `step` (0 for the first of the training).

        The first steps count for more, or the untrained weights would weigh for hundreds of steps."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._mine, self._its, 1 - decay)


def _followed(predictor: Predictor) -> list[torch.Tensor]:
    buffers = [value for name, value in predictor.named_buffers() if name.rpartition(".")[2].startswith(RUNNING)]
    return [parameter.detach() for parameter in predictor.parameters()] + buffers
