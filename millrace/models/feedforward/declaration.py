"""The hyperparameters of the family `feedforward`, and which inputs it takes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from millrace.features.signature import JOINED, Signature
from millrace.models.parameters import Parameters, refuse
from millrace.tasks.task import Task


class Feedforward(Parameters):
    """A stack of linear layers with GELU and dropout."""

    network: ClassVar[str] = "millrace.models.feedforward.network:FeedforwardNetwork"
    behind_trunk: ClassVar[tuple[str, ...]] = ("head", "skip")

    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=8192)], ...], Field(max_length=16)] = (64, 64)
    """The units of each hidden layer; `[]` is a linear model."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    numbers: Literal["plain", "piecewise_linear"] = "plain"
    """How a number enters the network.

    `plain`: standardised. `piecewise_linear`: as lengths of intervals that a tree finds."""
    pieces: Annotated[int, Field(ge=1, le=256)] = 32
    """With `piecewise_linear`: the most intervals of a number."""
    embed_categories: bool = False
    """Whether categories with few values get an embedding too, instead of a column for each value."""
    heads: Annotated[int, Field(ge=1, le=64)] = 1
    """The number of networks that share their weights, except for a factor per unit (BatchEnsemble).

    The answer is the mean of theirs."""
    skip: bool = False
    """Whether a linear path leads around the hidden layers."""

    def accepts(self, signature: Signature, task: Task) -> None:
        """The family takes numbers and categories, for every task. Raises WorkloadError for other inputs."""
        if any(spec.name not in JOINED for spec in signature):
            refuse("feedforward", "numbers and categories", signature)
