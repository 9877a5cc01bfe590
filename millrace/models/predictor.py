"""A network together with what turns its raw numbers into an answer: temperature, activation, and the target's unit.

Axes: N rows, W numbers per row."""

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
    """The signature's tensors (N, …) in; out come the numbers (N, W) that the task's answers are made of."""

    temperature: Tensor
    """What raw numbers are divided by before the activation, if the task is calibrated."""
    location: Tensor
    """The mean of the training targets; 0 if targets are not standardised."""
    scale: Tensor
    """The deviation of the training targets; 1 if targets are not standardised, or never vary."""

    def __init__(self, network: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.network, self.objective = network, objective
        for name, value in (("temperature", 1.0), ("location", 0.0), ("scale", 1.0)):
            self.register_buffer(name, torch.tensor(value))

    def fit(self, tensors: Mapping[str, Tensor], target_N: Tensor) -> None:
        """Take from the training rows whatever is not a learnt weight: mean and scale of inputs and of targets."""
        self.network.fit(tensors, target_N)  # type: ignore[operator]
        if self.objective.is_standardised:
            exact_N = target_N.double()
            deviation = exact_N.std(correction=0)
            self.location.copy_(exact_N.mean())
            self.scale.copy_(torch.where(deviation > 0, deviation, 1.0))

    def forward(self, **tensors: Tensor) -> Tensor:
        return self.answer(self.network(**tensors))

    def answer(self, raw_NW: Tensor) -> Tensor:
        """The numbers of the answers (N, W) from the network's raw numbers."""
        if self.objective.is_calibrated:
            raw_NW = raw_NW / self.temperature
        if name := self.objective.activation:
            activation = getattr(torch, name)
            raw_NW = activation(raw_NW, dim=1) if name == "softmax" else activation(raw_NW)
        return raw_NW * self.scale + self.location if self.objective.is_standardised else raw_NW

    def loss(self, raw_NW: Tensor, target_N: Tensor) -> Tensor:
        """The mean loss of the network's raw numbers; targets are standardised here if the objective asks for it."""
        if self.objective.is_standardised:
            target_N = (target_N - self.location) / self.scale
        # With one number per row the loss takes (N), the shape of the targets.
        raw = raw_NW[:, 0] if self.objective.width == 1 else raw_NW
        loss: Tensor = loss_function(self.objective.loss)(raw, target_N, **self.objective.options)
        return loss

    def log_loss(self, raw_NW: Tensor, target_N: Tensor) -> Tensor:
        """The mean log loss of the probabilities that softmax, or else sigmoid, makes of raw numbers.

        The temperature is fitted by it: it is smallest at the true probabilities, and the loss of a training need not
        be."""
        if self.objective.activation == "softmax":
            return functional.cross_entropy(raw_NW, target_N)
        raw = raw_NW[:, 0] if self.objective.width == 1 else raw_NW
        return functional.binary_cross_entropy_with_logits(raw, target_N)


def build(parameters: Parameters, signature: Signature, objective: Objective) -> Predictor:
    """The untrained predictor of the family that `parameters` belong to."""
    # By name: only the network of this family is imported.
    network = import_module(parameters.network).build(parameters, signature, objective.width)
    return Predictor(network, objective)
