"""The scale on which a number is learnt: the label itself or its logarithm, and then standardised.

Axes: N rows, W numbers of an answer."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from millrace.errors import TrainingError
from millrace.models.parameters import Scale

FAR = torch.finfo(torch.float32).max
"""Stands for no bound: weights are finite."""
BEYOND = 0.2
"""An answer on a scale of its own goes this many deviations beyond the training labels: its inverse grows fast."""
LEAST_FACTOR, MOST_FACTOR = 0.5, 2.0


class LabelScale(nn.Module):
    """Labels in, standardised targets out; and back, within the bounds that the contract declares.

    With `log` and labels of 0 it is the logarithm of the label plus 1."""

    location: Tensor
    """The mean of the training labels on the scale."""
    scale: Tensor
    """Their deviation; 1 if they never vary."""
    offset: Tensor
    """What is added before the logarithm: 1 if there are labels of 0, else 0."""
    least: Tensor
    most: Tensor
    """The bounds of an answer on the scale, in deviations; FAR for the label itself."""
    lowest: Tensor
    highest: Tensor
    """The bounds of an answer in the label's unit, as the contract declares them."""

    def __init__(self, kind: Scale = "identity") -> None:
        super().__init__()
        self.kind = kind
        names = ("location", "scale", "offset", "least", "most", "lowest", "highest")
        for name, value in zip(names, (0.0, 1.0, 0.0, *2 * (-FAR, FAR)), strict=True):
            self.register_buffer(name, torch.tensor(value))

    def bound(self, lowest: float, highest: float) -> None:
        """Set the bounds of the contract."""
        self.lowest.fill_(max(lowest, -FAR))
        self.highest.fill_(min(highest, FAR))

    def fit(self, target_N: Tensor) -> None:
        """Take mean, deviation and bounds from the training labels. Raises TrainingError for a negative one if the
        scale has none."""
        exact_N = target_N.double()
        if self.kind != "identity" and (least := float(exact_N.min())) < 0:
            raise TrainingError(f"label_scale {self.kind}: expected no negative label, got {least:g}")
        self.offset.fill_(float(self.kind == "log" and bool((exact_N == 0).any())))
        scaled_N = self.on_scale(exact_N)
        deviation = scaled_N.std(correction=0)
        self.location.copy_(scaled_N.mean())
        self.scale.copy_(torch.where(deviation > 0, deviation, 1.0))
        if self.kind != "identity":
            standard_N = self.standardised(exact_N)
            self.least.copy_(standard_N.min() - BEYOND)
            self.most.copy_(standard_N.max() + BEYOND)

    def standardised(self, target_N: Tensor) -> Tensor:
        """The targets of the network: mean 0 and deviation 1 over the training rows."""
        return (self.on_scale(target_N) - self.location) / self.scale

    def answer(self, raw_NW: Tensor, factor: Tensor) -> Tensor:
        """The answers in the label's unit from raw numbers, times `factor`, within the bounds."""
        if self.kind == "identity":
            return self._bounded(raw_NW * self.scale + self.location)
        scaled_NW = torch.minimum(torch.maximum(raw_NW, self.least), self.most) * self.scale + self.location
        return self._bounded((scaled_NW.exp() - self.offset) * factor)

    def on_scale(self, target_N: Tensor) -> Tensor:
        """Labels on the scale, not standardised."""
        if self.kind == "identity":
            return target_N
        # A validation row may be below all training rows: its place is that of the least possible answer.
        return (target_N + self.offset).clamp(min=torch.finfo(torch.float32).tiny).log()

    def _bounded(self, answer_NW: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(answer_NW, self.lowest), self.highest)


def correcting_factor(pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """The factor for which answers (N, W) times it have the least squared distance from labels (N), ½ to 2.

    A network that learns logarithms answers with the geometric mean, which is below the mean."""
    product = square = 0.0
    for answer_NW, target_N in pairs:
        answer_N = answer_NW.reshape(target_N.shape).double()
        product += float((answer_N * target_N.double()).sum())
        square += float(answer_N.square().sum())
    return min(max(product / square, LEAST_FACTOR), MOST_FACTOR) if square else 1.0
