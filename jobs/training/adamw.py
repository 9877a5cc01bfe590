"""AdamW (Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, algorithm 2) on one flat vector.

P weights in all. torch's own optimisers import a compiler at their first use, a second of CPU in each job; the update
of a flat vector is eight operations, whatever the number of layers, and reads nothing back from the device.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class AdamW:
    """Takes over the parameters: they and their gradients become views of two flat vectors."""

    def __init__(self, parameters: Iterable[nn.Parameter], *, learning_rate: float, weight_decay: float) -> None:
        each = list(parameters)
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.weights_P = torch.cat([parameter.detach().flatten() for parameter in each])
        self.gradient_P = torch.zeros_like(self.weights_P)
        self.mean_P = torch.zeros_like(self.weights_P)
        self.square_P = torch.zeros_like(self.weights_P)
        self.steps = torch.zeros((), dtype=torch.float64, device=self.weights_P.device)
        start = 0
        for parameter in each:
            end = start + parameter.numel()
            parameter.data = self.weights_P[start:end].view_as(parameter)
            parameter.grad = self.gradient_P[start:end].view_as(parameter)
            start = end

    @torch.no_grad()
    def step(self) -> None:
        """One update by the gradients that `backward` has added up; they are zero afterwards."""
        first, second = BETAS
        self.steps += 1
        self.mean_P.lerp_(self.gradient_P, 1 - first)
        self.square_P.mul_(second).addcmul_(self.gradient_P, self.gradient_P, value=1 - second)
        root_P = (self.square_P / (1 - second**self.steps).float()).sqrt_().add_(EPSILON)
        self.weights_P.mul_(1 - self.learning_rate * self.weight_decay)
        self.weights_P.addcdiv_(self.mean_P / (1 - first**self.steps).float(), root_P, value=-self.learning_rate)
        self.gradient_P.zero_()

    def state(self) -> dict[str, Tensor]:
        """What `load` takes to go on exactly; the weights belong to the network."""
        return {"mean": self.mean_P, "square": self.square_P, "steps": self.steps}

    def load(self, state: dict[str, Tensor]) -> None:
        self.mean_P.copy_(state["mean"])
        self.square_P.copy_(state["square"])
        self.steps.copy_(state["steps"])
