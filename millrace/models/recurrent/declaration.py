"""The hyperparameters of the recurrent families, and which inputs they take."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.features.signature import Signature, TensorKind, TensorSpec
from millrace.models.parameters import Parameters


class Recurrent(Parameters):
    """Recurrent layers over the steps of a history. Two dense layers read the last step's state and the columns."""

    network: ClassVar[str] = "millrace.models.recurrent.network:RecurrentNetwork"
    rows_per_pass: ClassVar[RowsPerPass] = RowsPerPass(fewest=2)
    """The engine multiplies the state of one row with another kernel than the states of several: so two rows at least.

    With one row, a bit differed in 1 of 30 answers."""
    takes_one: ClassVar[tuple[TensorKind, ...]] = ("history",)
    example: ClassVar[Signature] = (TensorSpec(name="past", dtype="float32", shape=(6, 2)),)

    layers: Annotated[int, Field(ge=1, le=8)] = 1
    units: Annotated[int, Field(ge=1, le=4096)] = 32
    hidden: Annotated[int, Field(ge=1, le=8192)] = 64
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    batch_size: Annotated[int, Field(ge=8, le=65536)] = 256
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 2e-3


class Gru(Recurrent):
    """Gated recurrent layers: two gates, and three quarters of the weights of an LSTM."""


class Rnn(Recurrent):
    """Plain recurrent layers: the cheapest step, and the shortest memory.

    The exporter has no operator of ONNX for such a layer. It unrolls the steps in the graph, half a kilobyte each."""


class Lstm(Recurrent):
    """Layers of long short-term memory: beside the state, a cell keeps what lies far back."""
