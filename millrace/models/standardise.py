"""Standardised numbers in a network."""

from __future__ import annotations

import torch
from torch import Tensor

FURTHEST = 1e6
"""Deviations from the mean. A number that is further away counts as so far: a "no data" of 3.4e38 in one row would be
infinity in the layers behind, and the answer no number."""
LARGEST = torch.finfo(torch.float32).max


def standardised(x_NF: Tensor, mean_F: Tensor, scale_F: Tensor) -> Tensor:
    """The distance from the mean in deviations, finite for every finite number; for a missing one use `x.isnan()`.

    A column that never varied has scale 0: its distance is made finite first, since infinity times 0 is NaN."""
    return (bounded(x_NF - mean_F) * scale_F).clamp(-FURTHEST, FURTHEST)


def bounded(x_NF: Tensor) -> Tensor:
    """The numbers with infinity as the largest float32."""
    return x_NF.clamp(-LARGEST, LARGEST)
