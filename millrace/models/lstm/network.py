"""A network of long short-term memory over the steps of one history."""

from __future__ import annotations

from torch import nn

from millrace.features.signature import Signature
from millrace.models.lstm.declaration import Lstm
from millrace.models.recurrent.layers import RecurrentNetwork


def build(parameters: Lstm, signature: Signature, width: int) -> RecurrentNetwork:
    """The untrained network, with `width` numbers out per row."""
    return RecurrentNetwork(nn.LSTM, parameters, signature, width)
