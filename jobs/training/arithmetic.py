"""How much a step multiplies, which decides on how many threads it is computed."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

SMALL_STEP = 2**27
"""Multiplications forward below which one thread is faster than several."""


def multiplications(network: nn.Module, tensors: Mapping[str, Tensor]) -> int:
    """Of the network's way forward with tensors of these shapes; nothing is computed, and no random number drawn.

    By operations, not by weights: a row of an embedding's table is looked up, a convolution's weights are used at
    every pixel, a recurrent layer's at every step."""
    shapes = deepcopy(network).to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shapes(**{name: value.to("meta") for name, value in tensors.items()})
    # The counter has a multiplication and an addition for each.
    return int(counter.get_total_flops()) // 2
