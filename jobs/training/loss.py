"""The loss that a step minimises: the objective's own, with smoothed labels and balanced classes if they are declared.

Axes: N rows, K heads, W numbers of a row's answer.

A network with several heads gives (N, K, W) while it trains and (N, W) when it answers. Then each head is trained by a
loss of its own, and the loss of the step is their mean. BatchEnsemble and TabM do so (Gorishniy et al. 2024, arXiv
2410.24210).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from millrace.models.parameters import Parameters
from millrace.models.predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class Loss:
    """The losses of one training. Without smoothing and balance they are the predictor's own."""

    predictor: Predictor
    smoothing: float
    """The share of each label that is spread over all classes, 0 to 0.5."""
    class_weights: Tensor | None
    """The weight of the rows of each class; None if classes are not balanced."""

    def training(self, raw: Tensor, target_N: Tensor) -> Tensor:
        """The mean loss of raw numbers (N, W) or (N, K, W)."""
        # Each head becomes a row of its own with the row's target; the mean over all of them is that of the heads.
        if raw.ndim == 3:
            target_N, raw = target_N.repeat_interleave(raw.shape[1], 0), raw.flatten(0, 1)
        return self._mean(raw, target_N, self.smoothing)

    def validation(self, raw_NW: Tensor, target_N: Tensor) -> Tensor:
        """The mean loss on labels that are not smoothed. Classes are balanced as in training: it chooses the epoch."""
        return self._mean(raw_NW, target_N, 0.0)

    def _mean(self, raw_NW: Tensor, target_N: Tensor, smoothing: float) -> Tensor:
        # The usual case needs no loss for each row.
        if self.class_weights is None and not smoothing:
            return self.predictor.loss(raw_NW, target_N)
        loss_N = BY_ROW[self.predictor.objective.loss](raw_NW, target_N, smoothing)
        return loss_N.mean() if self.class_weights is None else (loss_N * self.class_weights[target_N.long()]).mean()


def _cross_entropy(raw_NW: Tensor, target_N: Tensor, smoothing: float) -> Tensor:
    return functional.cross_entropy(raw_NW, target_N, reduction="none", label_smoothing=smoothing)


def _binary_cross_entropy(raw_NW: Tensor, target_N: Tensor, smoothing: float) -> Tensor:
    # One label has one output: (N, 1) becomes (N). Several labels have an output each, (N, P) as their targets.
    raw_N = raw_NW[:, 0] if target_N.ndim == 1 else raw_NW
    smoothed_N = target_N * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(raw_N, smoothed_N, reduction="none")


BY_ROW: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy_with_logits": _binary_cross_entropy,
}
"""For each name of CLASS_LOSSES the function that gives the loss of every row, with smoothed labels."""


def declare(parameters: Parameters, predictor: Predictor, target_N: Tensor) -> Loss:
    """The losses for these training targets (N)."""
    weights = _balance(target_N, max(2, predictor.objective.width)) if parameters.class_balance else None
    return Loss(predictor=predictor, smoothing=parameters.label_smoothing, class_weights=weights)


def _balance(target_N: Tensor, classes: int) -> Tensor:
    """A weight for each class. The rows of each class together weigh the same, and the mean weight of a row is 1.

    A class that does not occur in training has the weight 0. For example 30 rows of class 0 and 10 rows of class 1 have
    the weights 0.667 and 2."""
    rows = torch.bincount(target_N.long(), minlength=classes).double()
    occurs = rows > 0
    return torch.where(occurs, len(target_N) / (occurs.sum() * rows.clamp(min=1)), 0.0).float()
