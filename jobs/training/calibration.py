"""Temperature scaling (Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BOUNDS = (0.05, 20.0)
"""The range of temperatures. If all validation rows are right the best one is 0; if no answer is better than chance it
is infinity."""


def fit_temperature(raw_NW: Tensor, target_N: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> float:
    """The temperature T, within BOUNDS, for which `loss(raw / T, target)` is lowest.

    The log loss of sigmoid and softmax is convex in 1/T. So the slope changes its sign once, at the minimum, and a
    bisection finds that place."""
    raw_NW = raw_NW.detach().double()
    target_N = target_N.double() if target_N.is_floating_point() else target_N
    low, high = 1 / BOUNDS[1], 1 / BOUNDS[0]
    # The middle is the geometric one, since T is a ratio. After 60 halvings the range is below a double's precision.
    for _ in range(60):
        middle = (low * high) ** 0.5
        inverse = torch.tensor(middle, dtype=torch.float64, requires_grad=True)
        [slope] = torch.autograd.grad(loss(raw_NW * inverse, target_N), [inverse])
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(1 / (low * high) ** 0.5)
