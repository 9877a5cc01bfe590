"""Dense layers over the means of one history at several scales, with a linear path beside them.

A mean is taken over the known steps. The share of the missing steps is an input, too. Axes: N rows, T steps, F columns,
S scales, G numbers of the table's columns, P horizons, W numbers out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from millrace.features.signature import Signature
from millrace.models.columns import Columns
from millrace.models.moments import moments, pieces
from millrace.models.multiscale.declaration import Multiscale, default_scales
from millrace.models.standardise import standardised
from millrace.models.steps import Steps

RIDGE = 1e-3
"""The penalty on squared weights, as a share of the inputs' variance, which is 1.

Means at neighbouring scales are alike: without a penalty their weights would be huge."""


class MultiscaleNetwork(nn.Module):
    """One history (N, T, F) of float32 in, with `numbers` and `categories` if there are any; raw numbers (N, W) out."""

    mean_F: Tensor
    """The mean of each column of the summary over the training rows."""
    scale_F: Tensor
    """1 / deviation of each column of the summary; 0 for a column that never varies."""

    def __init__(self, parameters: Multiscale, signature: Signature, width: int) -> None:
        super().__init__()
        self.dropout = parameters.dropout
        self.steps, self.columns = Steps(signature), Columns(signature)
        self.scales = default_scales(self.steps.steps)
        summary = 3 * self.steps.features * len(self.scales)
        self.register_buffer("mean_F", torch.zeros(summary))
        self.register_buffer("scale_F", torch.ones(summary))
        widths = [summary + self.columns.width, *parameters.hidden]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.head = nn.Linear(widths[-1], width)
        self.linear = nn.Linear(widths[0], width, bias=False) if parameters.hidden else None
        if self.linear is not None:
            nn.init.zeros_(self.linear.weight)

    def fit(self, tensors: Mapping[str, Tensor], target_N: Tensor) -> None:
        """Take mean and scale of the steps, the columns and the summary from the training rows.

        The summary has its own, since long means vary less than short ones; a column that never varies is switched off.
        If the target is a number, the linear path begins with the weights of ridge regression, so that the dense layers
        learn what is left."""
        self.steps.fit(tensors)
        self.columns.fit(tensors, target_N)
        with torch.no_grad():
            found = moments(lambda: (self._summary(piece) for piece in pieces(tensors)))
            deviation_F = (found.squares_F / found.rows).sqrt()
            self.mean_F.copy_(found.mean_F)
            self.scale_F.copy_(torch.where(deviation_F > 1e-6, 1 / deviation_F, 0.0))
            if self.linear is not None and _are_numbers(target_N):
                weights_PF = _ridge(lambda: (self._inputs(one).double() for one in pieces(tensors)), target_N.double())
                # Each horizon has weights of its own, which all of its numbers (quantiles and median) begin with.
                rows = len(self.linear.weight) // weights_PF.shape[0]
                self.linear.weight.copy_(weights_PF.repeat_interleave(rows, 0))

    def forward(self, **tensors: Tensor) -> Tensor:
        x_NF = state = self._inputs(tensors)  # (N, 3 S F + G)
        for layer in self.hidden:
            state = functional.dropout(functional.gelu(layer(state)), self.dropout, self.training)  # (N, hidden)
        raw_NW: Tensor = self.head(state)  # (N, W)
        return raw_NW if self.linear is None else raw_NW + self.linear(x_NF)

    def _inputs(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """The standardised summary, with the columns beside it (N, 3 S F + G)."""
        return self.columns.beside(standardised(self._summary(tensors), self.mean_F, self.scale_F), tensors)

    def _summary(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Three figures for each scale and column (N, 3 S F), scale after scale.

        They are the mean of the known steps, the mean of their asinh, and the share of missing steps. asinh makes peaks
        smaller, like a logarithm, but takes negative numbers too."""
        known, missing = self.steps(tensors)  # each (N, T, F)
        # A running sum from the newest step back: its value at step k is the sum of the last k steps, so one sum serves
        # all scales. It also adds step by step. An engine's sum over an axis adds in an order that depends on where a
        # row lies in memory, so the last bit of an answer would depend on the rows beside it.
        sums = [one.flip(1).cumsum(1) for one in (known, torch.asinh(known), 1 - missing)]  # each (N, T, F)
        parts = []
        for steps in self.scales:
            *totals, count = (one[:, steps - 1] for one in sums)  # each (N, F)
            parts += [total / count.clamp(min=1) for total in totals]
            parts.append(1 - count / steps)
        return torch.cat(parts, dim=1)


def _are_numbers(target_N: Tensor) -> bool:
    """Whether the targets are amounts and not classes: floats that are not all 0 or 1."""
    return target_N.is_floating_point() and not bool(((target_N == 0) | (target_N == 1)).all())


def _ridge(inputs: Callable[[], Iterator[Tensor]], target_N: Tensor) -> Tensor:
    """The weights (P, F) of least squares on the standardised target (N) or (N, P), with the penalty RIDGE.

    `inputs` gives the inputs (N, F) in pieces. It is called several times, and must give the same pieces each time."""
    # The normal equations: the scatter of the inputs and their product with the targets are summed piece by piece.
    target_N = (target_N - target_N.mean()) / target_N.std(correction=0).clamp(min=1e-12)
    target_NP, at = target_N.reshape(len(target_N), -1), 0
    mean_F = moments(inputs).mean_F
    scatter_FF = RIDGE * len(target_N) * torch.eye(len(mean_F), dtype=mean_F.dtype, device=mean_F.device)
    cross_FP = torch.zeros_like(mean_F)[:, None].repeat(1, target_NP.shape[1])
    for piece in inputs():
        x_NF = piece - mean_F
        scatter_FF += x_NF.T @ x_NF
        cross_FP += x_NF.T @ target_NP[at : at + len(x_NF)]
        at += len(x_NF)
    found: Tensor = torch.linalg.solve(scatter_FF, cross_FP)
    return found.T
