"""Counts the multiplications of a step, which decide how many threads compute it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

SMALL_STEP = 2**27
"""Below so many multiplications in the forward pass, one thread is faster than several."""


def multiplications(network: nn.Module, tensors: Mapping[str, Tensor]) -> int:
    """The multiplications of one forward pass with tensors of these shapes. No random number is drawn.

    They are counted by operations, not by weights: a row of an embedding table is looked up, the weights of a
    convolution are used at every pixel, and those of a recurrent layer at every step."""
    # Tensors on torch's device `meta` have shapes and no numbers, so nothing is computed.
    shapes = deepcopy(network).to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shapes(**{name: value.to("meta") for name, value in tensors.items()})
    # The counter counts an addition beside each multiplication.
    return int(counter.get_total_flops()) // 2
