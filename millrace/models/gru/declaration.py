"""The hyperparameters of the family `gru`."""

from __future__ import annotations

from typing import ClassVar

from millrace.models.recurrent.declaration import Recurrent


class Gru(Recurrent):
    """Gated recurrent layers: two gates, and three quarters of the weights of an LSTM."""

    network: ClassVar[str] = "millrace.models.gru.network"
