"""Standardises numbers in a network, so that every finite number stays finite."""

from __future__ import annotations

import torch
from torch import Tensor

FURTHEST = 1e6
"""The largest distance from the mean, in deviations; a number that is further away counts as this far.

Otherwise a "no data" of 3.4e38 in one row would become infinity in later layers, and the answer NaN."""
LARGEST = torch.finfo(torch.float32).max
"""The largest finite float32."""


def standardised(x_NF: Tensor, mean_F: Tensor, scale_F: Tensor) -> Tensor:
    """The distance from the mean in deviations (N, F): finite for every finite number, NaN for a missing one."""
    # A column that never varied has scale 0. Its distance is made finite first, since infinity times 0 is NaN.
    return (bounded(x_NF - mean_F) * scale_F).clamp(-FURTHEST, FURTHEST)


def bounded(x_NF: Tensor) -> Tensor:
    """The numbers, with the largest float32 in place of infinity."""
    return x_NF.clamp(-LARGEST, LARGEST)
