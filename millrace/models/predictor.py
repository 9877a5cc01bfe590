"""A network together with what turns its raw numbers into an answer: temperature, activation, and the label's scale.

Boosted trees and a linear model may stand beside the network: the answer is then the mean of network and trees, or that
of one part alone. Axes: N rows, M models, P horizons, Q quantiles, W numbers per row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from pkgutil import resolve_name

import torch
from torch import Tensor, nn
from torch.nn import functional

from millrace.artefact.artefact import MEAN, PARTS
from millrace.features.signature import Signature
from millrace.models.label_scale import LabelScale, correcting_factor
from millrace.models.likeness import Likeness, entering, last_layer
from millrace.models.linear import LinearModel
from millrace.models.parameters import Parameters
from millrace.models.trees import Rows, Trees
from millrace.tasks.task import Objective


class Predictor(nn.Module):
    """The signature's tensors (N, …) in; out come the numbers (N, W) that the task's answers are made of."""

    temperature: Tensor
    """What raw numbers are divided by before the activation, if the task is calibrated."""
    factor: Tensor
    """What the network's answers are multiplied by; 1 if labels are learnt as they are."""
    share_M: Tensor | None
    """The share of each part in the answer, with the sum 1; None where the answer cannot be chosen."""

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        *,
        label: LabelScale | None = None,
        trees: Trees | None = None,
        linear: LinearModel | None = None,
    ) -> None:
        super().__init__()
        self.network, self.objective = network, objective
        self.label, self.trees, self.linear, self.is_trees_alone = label or LabelScale(), trees, linear, False
        # In the order of `parts`. They are weights of the graph, so its shape does not depend on who answers.
        self.register_buffer("share_M", torch.tensor([0.5, 0.5, 0.0]) if linear else None)
        self.likeness: Likeness | None = None
        for name in ("temperature", "factor"):
            self.register_buffer(name, torch.tensor(1.0))

    def fit(self, tensors: Mapping[str, Tensor], target_N: Tensor, held: Rows | None = None) -> None:
        """Take from the training rows whatever no step learns: moments of inputs and of targets, and the trees.

        The trees stop by their loss on the `held` rows, given as tensors and targets."""
        if self.objective.is_standardised:
            self.label.fit(target_N)
        # A network may look at the targets, on the scale on which it learns them.
        self.network.fit(tensors, self.label.on_scale(target_N))  # type: ignore[operator]
        if self.trees is not None:
            stop = (held[0], self._target(held[1].to(target_N.device))) if held else None
            self.trees.fit(tensors, self._target(target_N), self.objective, stop)
        if self.linear is not None:
            self.linear.fit(tensors, self._target(target_N), self.objective)

    def correct(self, parts: Iterable[Rows]) -> None:
        """Fit the factors of all models on rows in parts, if the label's scale makes their answers too low."""
        if self.label.kind == "identity" or self.objective.width > 1:
            return
        beside, one = self._beside, torch.ones_like(self.factor)
        found = [([model(**x) for model in (self.network, *beside)], y) for x, y in parts]
        for place, factor in enumerate((self.factor, *(model.factor for model in beside))):
            factor.fill_(correcting_factor((self.label.answer(raw[place], one), y) for raw, y in found))

    def forward(self, **tensors: Tensor) -> Tensor:
        return self.with_parts(tensors)[0]

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the models that the answer is made of; empty if there is one alone."""
        if self.trees is None or self.is_trees_alone:
            return ()
        return PARTS["mean" if self.linear is None else "best"]

    @property
    def answers(self) -> str:
        """Who answers where that is chosen: MEAN or a part; empty elsewhere."""
        if self.share_M is None:
            return ""
        return self.parts[int(self.share_M.argmax())] if self.share_M.max() == 1 else MEAN

    def with_parts(self, tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """The answer, then that of each of the `parts`."""
        beside = [self._unit(self._activated(model(**tensors)), model.factor) for model in self._beside]
        if self.is_trees_alone:
            return tuple(beside)
        network_NW = self.answer(self.network(**tensors))
        if not beside:
            return (network_NW,)
        if self.share_M is None:
            return (network_NW + beside[0]) / 2, network_NW, *beside
        of_each = [share * part_NW for share, part_NW in zip(self.share_M.unbind(), (network_NW, *beside), strict=True)]
        return reduce(torch.add, of_each), network_NW, *beside

    @property
    def _beside(self) -> tuple[Trees | LinearModel, ...]:
        return tuple(model for model in (self.trees, self.linear) if model is not None)

    def outputs(self, **tensors: Tensor) -> tuple[Tensor, ...]:
        """The outputs of the graph: the answer, then those of its parts, then distance and coordinates (N, 1 + S), as
        far as it has them."""
        if self.likeness is None:
            return self.with_parts(tensors)
        with entering(last_layer(self.network)) as seen:
            found = self.with_parts(tensors)
        return *found, self.likeness(seen[0])

    def raw(self, **tensors: Tensor) -> Tensor:
        """The raw numbers by which the training is judged: the network's, or those of trees alone."""
        found: Tensor = self.trees(**tensors) if self.trees and self.is_trees_alone else self.network(**tensors)
        return found

    def answer(self, raw_NW: Tensor) -> Tensor:
        """The numbers of the network's answers (N, W) from its raw numbers."""
        raw_NW = raw_NW / self.temperature if self.objective.is_calibrated else raw_NW
        return self._unit(self._activated(raw_NW), self.factor)

    def loss(self, raw_NW: Tensor, target_N: Tensor) -> Tensor:
        """The mean loss of the network's raw numbers; targets are standardised here if the objective asks for it."""
        target_N = self._target(target_N)
        # With one number per row the loss takes (N), the shape of the targets.
        raw = raw_NW[:, 0] if self.objective.width == 1 else raw_NW
        function = OWN.get(self.objective.loss) or getattr(functional, self.objective.loss)
        return function(raw, target_N, **self.objective.options)

    def log_loss(self, raw_NW: Tensor, target_N: Tensor) -> Tensor:
        """The mean log loss of the probabilities that softmax, or else sigmoid, makes of raw numbers.

        The temperature is fitted by it: it is smallest at the true probabilities, and the loss of a training need not
        be."""
        if self.objective.activation == "softmax":
            return functional.cross_entropy(raw_NW, target_N)
        raw = raw_NW[:, 0] if self.objective.width == 1 else raw_NW
        return functional.binary_cross_entropy_with_logits(raw, target_N)

    def _activated(self, raw_NW: Tensor) -> Tensor:
        if not (name := self.objective.activation):
            return raw_NW
        activation = getattr(torch, name)
        found: Tensor = activation(raw_NW, dim=1) if name == "softmax" else activation(raw_NW)
        return found.clamp(*bounds) if (bounds := self.objective.bounds) else found

    def _unit(self, answer_NW: Tensor, factor: Tensor) -> Tensor:
        return self.label.answer(answer_NW, factor) if self.objective.is_standardised else answer_NW

    def _target(self, target_N: Tensor) -> Tensor:
        return self.label.standardised(target_N) if self.objective.is_standardised else target_N


def build(
    parameters: Parameters, signature: Signature, objective: Objective, *, measures_likeness: bool = False
) -> Predictor:
    """The untrained predictor of the family that `parameters` belong to."""
    # By name: only the network of this family is imported.
    network = resolve_name(parameters.network)(parameters, signature, objective.width)
    trees = None if parameters.trees == "none" else Trees(signature, objective.width)
    linear = LinearModel(signature, objective.width) if parameters.trees == "best" else None
    predictor = Predictor(network, objective, label=LabelScale(parameters.label_scale), trees=trees, linear=linear)
    predictor.is_trees_alone = parameters.trees == "alone"
    predictor.likeness = Likeness(network) if measures_likeness else None
    return predictor


def pinball(raw_NW: Tensor, target: Tensor, quantiles: tuple[float, ...]) -> Tensor:
    """The mean pinball loss over rows, horizons and quantiles (Koenker and Bassett 1978).

    The true quantiles have the smallest loss. For the quantile 0.9, an answer that is 1 too low costs 0.9, and one that
    is 1 too high costs 0.1. `target` is (N), or (N, P) for several horizons. `raw_NW` then has the quantiles horizon
    after horizon."""
    count = len(quantiles)
    short_NPQ = target.reshape(len(raw_NW), -1, 1) - raw_NW.reshape(len(raw_NW), -1, count)
    q_Q = raw_NW.new_tensor(quantiles)
    return torch.maximum(q_Q * short_NPQ, (q_Q - 1) * short_NPQ).mean()


OWN = {"pinball": pinball}
