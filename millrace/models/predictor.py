"""A network together with what makes its numbers an answer: temperature, activation, the target's unit.

N rows, W numbers per row."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import torch
from torch import Tensor, nn
from torch.nn import functional

from millrace.features.signature import Signature
from millrace.models.losses import loss_function
from millrace.models.parameters import Parameters
from millrace.tasks.task import Objective


class Predictor(nn.Module):
    """The signature's tensors (N, …) in, the numbers (N, W) that the task's answers are made of out."""

    temperature: Tensor
    location: Tensor
    """Mean of the training targets; 0 where they are not standardised. `scale` is their deviation, else 1."""
    scale: Tensor

    def __init__(self, network: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.network, self.objective = network, objective
        for name, value in (("temperature", 1.0), ("location", 0.0), ("scale", 1.0)):
            self.register_buffer(name, torch.tensor(value))

    def fit(self, tensors: Mapping[str, Tensor], target_N: Tensor) -> None:
        """Take what is no learnt weight from the training rows: mean and scale of inputs and of targets."""
        self.network.fit(tensors, target_N)  # type: ignore[operator]
        if self.objective.is_standardised:
            exact_N = target_N.double()
            deviation = exact_N.std(correction=0)
            self.location.copy_(exact_N.mean())
            self.scale.copy_(torch.where(deviation > 0, deviation, 1.0))

    def forward(self, **tensors: Tensor) -> Tensor:
        return self.answer(self.network(**tensors))

    def answer(self, raw_NW: Tensor) -> Tensor:
        """The network's raw numbers as the task's answers need them."""
        if self.objective.is_calibrated:
            raw_NW = raw_NW / self.temperature
        if name := self.objective.activation:
            activation = getattr(torch, name)
            raw_NW = activation(raw_NW, dim=1) if name == "softmax" else activation(raw_NW)
        return raw_NW * self.scale + self.location if self.objective.is_standardised else raw_NW

    def loss(self, raw_NW: Tensor, target_N: Tensor) -> Tensor:
        """The mean loss of the network's raw numbers, on standardised targets where the objective wants them."""
        if self.objective.is_standardised:
            target_N = (target_N - self.location) / self.scale
        raw = raw_NW[:, 0] if self.objective.width == 1 else raw_NW
        loss: Tensor = loss_function(self.objective.loss)(raw, target_N, **self.objective.options)
        return loss

    def log_loss(self, raw_NW: Tensor, target_N: Tensor) -> Tensor:
        """The mean log loss of the probabilities that softmax or else sigmoid makes of raw numbers.

        It is smallest at the true probabilities, which a loss of training need not be: the temperature follows it."""
        if self.objective.activation == "softmax":
            return functional.cross_entropy(raw_NW, target_N)
        raw = raw_NW[:, 0] if self.objective.width == 1 else raw_NW
        return functional.binary_cross_entropy_with_logits(raw, target_N)


def build(parameters: Parameters, signature: Signature, objective: Objective) -> Predictor:
    """The untrained predictor of a family."""
    network = import_module(parameters.network).build(parameters, signature, objective.width)
    return Predictor(network, objective)
