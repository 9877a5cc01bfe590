"""The losses by the name that an objective gives: our own, else torch's.

Axes: N rows, P horizons, Q quantiles, W = P × Q numbers of an answer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def pinball(raw_NW: Tensor, target: Tensor, quantiles: tuple[float, ...]) -> Tensor:
    """The mean pinball loss over rows, horizons and quantiles (Koenker and Bassett 1978).

    The true quantiles have the smallest loss. For the quantile 0.9, an answer that is 1 too low costs 0.9, and one that
    is 1 too high costs 0.1. `target` is (N), or (N, P) for several horizons. `raw_NW` then has the quantiles horizon
    after horizon."""
    count = len(quantiles)
    short_NPQ = target.reshape(len(raw_NW), -1, 1) - raw_NW.reshape(len(raw_NW), -1, count)
    q_Q = raw_NW.new_tensor(quantiles)
    return torch.maximum(q_Q * short_NPQ, (q_Q - 1) * short_NPQ).mean()


OWN = {"pinball": pinball}


def loss_function(name: str) -> Any:
    """The loss of this name. Raises AttributeError if neither this module nor torch has one."""
    return OWN.get(name) or getattr(functional, name)
