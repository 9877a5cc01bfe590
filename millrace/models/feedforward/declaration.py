"""The hyperparameters of a feedforward network, and which inputs it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from millrace.errors import WorkloadError
from millrace.models.parameters import Parameters

if TYPE_CHECKING:
    from millrace.features.signature import Signature
    from millrace.tasks.task import Task

TENSORS = ("numbers", "categories")


class Feedforward(Parameters):
    """A stack of linear layers with GELU and dropout."""

    network: ClassVar[str] = "millrace.models.feedforward.network"
    behind_trunk: ClassVar[tuple[str, ...]] = ("head", "skip")

    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=8192)], ...], Field(min_length=1, max_length=16)] = (64, 64)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    numbers: Literal["plain", "piecewise_linear", "periodic"] = "plain"
    """How a number enters: standardised, as lengths of intervals that a tree finds, as waves of learnt frequencies."""
    pieces: Annotated[int, Field(ge=1, le=256)] = 32
    """Intervals per number at most, where they are piecewise linear."""
    frequencies: Annotated[int, Field(ge=1, le=256)] = 24
    """Per number, where they are periodic."""
    frequency_deviation: Annotated[float, Field(gt=0, le=10)] = 0.1
    """Of the frequencies before training, in periods per standard deviation of the number."""
    embed_categories: bool = False
    """Whether categories of few values have an embedding too, and not a column for each value."""
    heads: Annotated[int, Field(ge=1, le=64)] = 1
    """Networks that share their weights but for a factor per unit (BatchEnsemble); the answer is their mean."""
    skip: bool = False
    """Whether a linear path leads around the hidden layers."""

    def accepts(self, signature: Signature, task: Task) -> None:
        """Numbers and categories, for every task."""
        if others := [spec.name for spec in signature if spec.name not in TENSORS]:
            expected, came = "numbers and categories for the family feedforward", ", ".join(others)
            raise WorkloadError(where="workload.yaml", field="prediction.features", expected=expected, came=came)
