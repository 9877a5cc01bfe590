"""Losses by the name that an objective gives: our own, else torch's. N rows, P horizons, Q quantiles."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def pinball(raw_NW: Tensor, target: Tensor, quantiles: tuple[float, ...]) -> Tensor:
    """The mean pinball loss over rows and quantiles (Koenker and Bassett 1978), which each quantile makes smallest.

    `target` is (N), or (N, P) where the W numbers are P times Q, horizon after horizon. Of the quantile 0.9 an answer 1
    too low costs 0.9, one 1 too high 0.1."""
    count = len(quantiles)
    short_NPQ = target.reshape(len(raw_NW), -1, 1) - raw_NW.reshape(len(raw_NW), -1, count)
    q_Q = raw_NW.new_tensor(quantiles)
    return torch.maximum(q_Q * short_NPQ, (q_Q - 1) * short_NPQ).mean()


OWN = {"pinball": pinball}


def loss_function(name: str) -> Any:
    """The function; AttributeError where neither has one of this name."""
    return OWN.get(name) or getattr(functional, name)
