"""Losses that torch.nn.functional lacks. N rows, Q quantiles."""

from __future__ import annotations

import torch
from torch import Tensor


def pinball(raw_NQ: Tensor, target_N: Tensor, quantiles: tuple[float, ...]) -> Tensor:
    """The mean pinball loss over rows and quantiles (Koenker and Bassett 1978), which each quantile makes smallest.

    Of the quantile 0.9 an answer 1 too low costs 0.9, one 1 too high 0.1."""
    short_NQ = target_N[:, None] - raw_NQ
    q_Q = raw_NQ.new_tensor(quantiles)
    return torch.maximum(q_Q * short_NQ, (q_Q - 1) * short_NQ).mean()
