"""The hyperparameters of the family `rnn`."""

from __future__ import annotations

from typing import ClassVar

from millrace.models.recurrent.declaration import Recurrent


class Rnn(Recurrent):
    """Plain recurrent layers: the cheapest step, and the shortest memory.

    The exporter has no operator of ONNX for such a layer. It unrolls the steps in the graph, half a kilobyte each."""

    network: ClassVar[str] = "millrace.models.rnn.network"
