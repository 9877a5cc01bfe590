"""A gated recurrent network over the steps of one history."""

from __future__ import annotations

from torch import nn

from millrace.features.signature import Signature
from millrace.models.gru.declaration import Gru
from millrace.models.recurrent.layers import RecurrentNetwork


def build(parameters: Gru, signature: Signature, width: int) -> RecurrentNetwork:
    """The untrained network, with `width` numbers out per row."""
    return RecurrentNetwork(nn.GRU, parameters, signature, width)
