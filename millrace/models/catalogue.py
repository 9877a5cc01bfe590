"""The catalogue of model families and their hyperparameters, free of torch.

Add a family: a file in `millrace/models` and a line in FAMILIES. A wrong hyperparameter stops at synth.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Parameters(BaseModel):
    """What every family is trained with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Annotated[int, Field(ge=1, le=1000)] = 30
    batch_size: Annotated[int, Field(ge=8, le=65536)] = 512
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 1e-2
    patience: Annotated[int, Field(ge=1)] = 6
    """Epochs without a better validation loss before training stops."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class Feedforward(Parameters):
    """A stack of linear layers with GELU and dropout."""

    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=8192)], ...], Field(min_length=1, max_length=16)] = (64, 64)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1


FAMILIES: dict[str, type[Parameters]] = {
    "feedforward": Feedforward,
}
