"""What a step minimises: the objective's loss, with labels smoothed, classes balanced and heads averaged as declared.

N rows, K heads, W numbers per row. A network with several heads gives (N, K, W) while it trains and (N, W) when it
answers: each head is then trained by its own loss, as BatchEnsemble and TabM do (Gorishniy et al. 2024, arXiv
2410.24210), and the loss is the mean of theirs.
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
    """The losses of one training; without smoothing and balance they are the predictor's own."""

    predictor: Predictor
    smoothing: float
    class_weights: Tensor | None

    def training(self, raw: Tensor, target_N: Tensor) -> Tensor:
        """The mean loss of raw numbers (N, W) or (N, K, W)."""
        if raw.ndim == 3:
            target_N, raw = target_N.repeat_interleave(raw.shape[1], 0), raw.flatten(0, 1)
        return self._mean(raw, target_N, self.smoothing)

    def validation(self, raw_NW: Tensor, target_N: Tensor) -> Tensor:
        """The mean loss by the labels as they are; balanced as in training, since it chooses the epoch."""
        return self._mean(raw_NW, target_N, 0.0)

    def _mean(self, raw_NW: Tensor, target_N: Tensor, smoothing: float) -> Tensor:
        if self.class_weights is None and not smoothing:
            return self.predictor.loss(raw_NW, target_N)
        loss_N = BY_ROW[self.predictor.objective.loss](raw_NW, target_N, smoothing)
        return loss_N.mean() if self.class_weights is None else (loss_N * self.class_weights[target_N.long()]).mean()


def _cross_entropy(raw_NW: Tensor, target_N: Tensor, smoothing: float) -> Tensor:
    return functional.cross_entropy(raw_NW, target_N, reduction="none", label_smoothing=smoothing)


def _binary_cross_entropy(raw_NW: Tensor, target_N: Tensor, smoothing: float) -> Tensor:
    # Of several labels each has an output of its own.
    raw_N = raw_NW[:, 0] if target_N.ndim == 1 else raw_NW
    smoothed_N = target_N * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(raw_N, smoothed_N, reduction="none")


BY_ROW: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy_with_logits": _binary_cross_entropy,
}
"""The losses of `CLASS_LOSSES`, row by row, with smoothed labels."""


def declare(parameters: Parameters, predictor: Predictor, target_N: Tensor) -> Loss:
    """The losses for these training targets."""
    weights = _balance(target_N, max(2, predictor.objective.width)) if parameters.class_balance else None
    return Loss(predictor=predictor, smoothing=parameters.label_smoothing, class_weights=weights)


def _balance(target_N: Tensor, classes: int) -> Tensor:
    """A weight per class, 1 in the mean over the rows; 0 for a class that does not occur in training."""
    rows = torch.bincount(target_N.long(), minlength=classes).double()
    occurs = rows > 0
    return torch.where(occurs, len(target_N) / (occurs.sum() * rows.clamp(min=1)), 0.0).float()
