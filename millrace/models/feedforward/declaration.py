"""The hyperparameters of a feedforward network, and which inputs it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

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

    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=8192)], ...], Field(min_length=1, max_length=16)] = (64, 64)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1

    def accepts(self, signature: Signature, task: Task) -> None:
        """Numbers and categories, for every task."""
        if others := [spec.name for spec in signature if spec.name not in TENSORS]:
            expected, came = "numbers and categories for the family feedforward", ", ".join(others)
            raise WorkloadError(where="workload.yaml", field="prediction.features", expected=expected, came=came)
