"""Feedforward: linear layers with GELU and dropout over the table's columns.

N rows, H hidden units, W outputs."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from millrace.features.signature import Signature
from millrace.models.columns import Columns
from millrace.models.feedforward.declaration import Feedforward


class FeedforwardNetwork(Columns):
    """The tensors `numbers` (N, A) and `categories` (N, B) in, raw numbers (N, W) out."""

    def __init__(self, parameters: Feedforward, signature: Signature, width: int) -> None:
        super().__init__(signature)
        widths = [self.width, *parameters.hidden]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.head = nn.Linear(widths[-1], width)
        self.dropout = parameters.dropout

    def forward(self, **tensors: Tensor) -> Tensor:  # type: ignore[override]
        x_NH = super().forward(tensors)
        for layer in self.hidden:
            x_NH = functional.dropout(functional.gelu(layer(x_NH)), self.dropout, self.training)
        raw_NW: Tensor = self.head(x_NH)
        return raw_NW


def build(parameters: Feedforward, signature: Signature, width: int) -> FeedforwardNetwork:
    """The untrained network that gives `width` numbers per row."""
    return FeedforwardNetwork(parameters, signature, width)
