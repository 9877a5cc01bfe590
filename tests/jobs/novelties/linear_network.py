"""A family's network: a sum."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from millrace.features.signature import Signature
from tests.jobs.novelties.linear import Linear


class Network(nn.Module):
    """Standardised numbers times weights, and a weight for each category."""

    mean_A: Tensor
    scale_A: Tensor

    def __init__(self, _: Linear, signature: Signature, width: int) -> None:
        super().__init__()
        specs = {spec.name: spec for spec in signature}
        [numbers] = specs["numbers"].shape
        self.weights = nn.ModuleList(nn.Embedding(count or 1, width) for count in specs["categories"].cardinalities)
        self.numbers = nn.Linear(numbers or 0, width)
        self.register_buffer("mean_A", torch.zeros(numbers or 0))
        self.register_buffer("scale_A", torch.ones(numbers or 0))

    def fit(self, tensors: Mapping[str, Tensor], target_N: Tensor) -> None:
        self.mean_A.copy_(tensors["numbers"].nanmean(0))
        self.scale_A.copy_(1 / torch.nan_to_num(tensors["numbers"] - self.mean_A).std(0))

    def forward(self, **tensors: Tensor) -> Tensor:
        scaled_NA = (tensors["numbers"] - self.mean_A) * self.scale_A
        raw_NW: Tensor = self.numbers(torch.where(scaled_NA.isnan(), 0.0, scaled_NA))
        for place, weights in enumerate(self.weights):
            raw_NW = raw_NW + weights(tensors["categories"][:, place])
        return raw_NW
