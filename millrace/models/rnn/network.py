"""A plain recurrent network over the steps of one history."""

from __future__ import annotations

from torch import nn

from millrace.features.signature import Signature
from millrace.models.recurrent.layers import RecurrentNetwork
from millrace.models.rnn.declaration import Rnn


def build(parameters: Rnn, signature: Signature, width: int) -> RecurrentNetwork:
    """The untrained network, with `width` numbers out per row."""
    return RecurrentNetwork(nn.RNN, parameters, signature, width)
