"""The hyperparameters of the family `lstm`."""

from __future__ import annotations

from typing import ClassVar

from millrace.models.recurrent.declaration import Recurrent


class Lstm(Recurrent):
    """Layers of long short-term memory: beside the state, a cell keeps what lies far back."""

    network: ClassVar[str] = "millrace.models.lstm.network"
