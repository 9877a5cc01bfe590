"""Losses by the name that an objective gives: our own, else torch's. N rows, Q quantiles."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def pinball(raw_NQ: Tensor, target_N: Tensor, quantiles: tuple[float, ...]) -> Tensor:
    """The mean pinball loss over rows and quantiles (Koenker and Bassett 1978), which each quantile makes smallest.

    Of the quantile 0.9 an answer 1 too low costs 0.9, one 1 too high 0.1."""
    short_NQ = target_N[:, None] - raw_NQ
    q_Q = raw_NQ.new_tensor(quantiles)
    return torch.maximum(q_Q * short_NQ, (q_Q - 1) * short_NQ).mean()


OWN = {"pinball": pinball}


def loss_function(name: str) -> Any:
    """The function; AttributeError where neither has one of this name."""
    return OWN.get(name) or getattr(functional, name)
