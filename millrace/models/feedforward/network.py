"""A feedforward network: linear layers with GELU and dropout over the table's columns.

Axes: N rows, A numbers, B categories, F numbers of the columns, H hidden units, K heads, I and O numbers in and out of
a layer, W numbers out."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from millrace.features.signature import Signature
from millrace.models.columns import MOST_COLUMNS, Columns
from millrace.models.feedforward.declaration import Feedforward
from millrace.models.numbers import PiecewiseLinear


class FeedforwardNetwork(Columns):
    """The tensors `numbers` (N, A) and `categories` (N, B) in; raw numbers (N, W) out.

    With several heads, training gets (N, K, W), so that each head has a loss of its own. Otherwise the output is the
    mean over the heads."""

    def __init__(self, parameters: Feedforward, signature: Signature, width: int) -> None:
        numbers = _numbers(parameters, signature)
        super().__init__(signature, numbers=numbers, most_columns=0 if parameters.embed_categories else MOST_COLUMNS)
        # One head is a plain network. Several heads share the matrices of the hidden layers, each with its own factors.
        widths, heads = [self.width, *parameters.hidden], parameters.heads
        if heads == 1:
            self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
            self.head: nn.Module = nn.Linear(widths[-1], width)
        else:
            self.hidden = nn.ModuleList(
                _SharedLinear(a, b, heads, () if place else self.spans) for place, (a, b) in enumerate(pairwise(widths))
            )
            self.head = _HeadsLinear(widths[-1], width, heads)
        self.skip = nn.Linear(self.width, width, bias=False) if parameters.skip else None
        self.dropout, self.heads = parameters.dropout, heads

    def forward(self, **tensors: Tensor) -> Tensor:  # type: ignore[override]
        x = super().forward(tensors)  # (N, F)
        state = x if self.heads == 1 else x[:, None, :]  # (N, F) or (N, 1, F)
        for layer in self.hidden:
            state = functional.dropout(functional.gelu(layer(state)), self.dropout, self.training)  # (N, H), (N, K, H)
        raw: Tensor = self.head(state)  # (N, W), or in a training of several heads (N, K, W)
        if self.skip is not None:
            raw = raw + (self.skip(x)[:, None, :] if raw.dim() == 3 else self.skip(x))
        return raw


class _SharedLinear(nn.Module):
    """One matrix for K heads. Each head scales the inputs and outputs by its own factors (Wen et al. 2020, arXiv
    2002.06715).

    The factors of the first layer begin with random numbers, so that the heads differ; all other factors begin with 1.
    All columns of one cell have the same factor, as in TabM (Gorishniy et al. 2024, arXiv 2410.24210)."""

    def __init__(self, wide_in: int, wide_out: int, heads: int, spans: tuple[int, ...]) -> None:
        """Make the layer; `spans` of the first layer says how many inputs, side by side, come from the same cell."""
        super().__init__()
        shared = nn.Linear(wide_in, wide_out)
        self.weight = shared.weight
        before_KI = torch.ones(heads, wide_in)
        if spans:
            before_KI = torch.randn(heads, len(spans)).repeat_interleave(torch.tensor(spans), 1)
        self.before_KI = nn.Parameter(before_KI)
        self.after_KO = nn.Parameter(torch.ones(heads, wide_out))
        self.bias_KO = nn.Parameter(shared.bias.detach().repeat(heads, 1))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x * self.before_KI, self.weight) * self.after_KO + self.bias_KO


class _HeadsLinear(nn.Module):
    """A matrix for each head; outside of training the mean over the heads."""

    def __init__(self, wide_in: int, wide_out: int, heads: int) -> None:
        super().__init__()
        bound = wide_in**-0.5
        self.weight_KIO = nn.Parameter(torch.empty(heads, wide_in, wide_out).uniform_(-bound, bound))
        self.bias_KO = nn.Parameter(torch.empty(heads, wide_out).uniform_(-bound, bound))

    def forward(self, x_NKI: Tensor) -> Tensor:
        if self.training:
            # Head by head, not row by row: eight products of many rows take a quarter of the time of thousands of
            # products of one row.
            return (x_NKI.transpose(0, 1) @ self.weight_KIO).transpose(0, 1) + self.bias_KO
        # The mean is one product. Of one for each head, and of their mean, the bits depend on the number of rows: the
        # engine adds in another order for a row alone, and for each of the last rows beyond a multiple of four.
        weight_OI = self.weight_KIO.flatten(0, 1).T / len(self.weight_KIO)
        return functional.linear(x_NKI.flatten(1), weight_OI, self.bias_KO.mean(0))


def _numbers(parameters: Feedforward, signature: Signature) -> PiecewiseLinear | None:
    """The embedding of the numbers; None if they are plain, or if there are none."""
    for spec in signature:
        if spec.name == "numbers" and parameters.numbers == "piecewise_linear":
            return PiecewiseLinear(spec.optional, parameters.pieces)
    return None
