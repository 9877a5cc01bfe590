"""The hyperparameters of a plain recurrent network."""

from __future__ import annotations

from typing import ClassVar

from millrace.models.recurrent.declaration import Recurrent


class Rnn(Recurrent):
    """Plain recurrent layers: the cheapest step, and the shortest memory.

    ONNX has no such layer in the exporter: the steps are unrolled in the graph, half a kilobyte each."""

    network: ClassVar[str] = "millrace.models.rnn.network"
