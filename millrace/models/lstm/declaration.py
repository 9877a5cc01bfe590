"""The hyperparameters of a network of long short-term memory."""

from __future__ import annotations

from typing import ClassVar

from millrace.models.recurrent.declaration import Recurrent


class Lstm(Recurrent):
    """Layers of long short-term memory: a cell beside the state keeps what lies far back."""

    network: ClassVar[str] = "millrace.models.lstm.network"
