"""The hyperparameters of a bag of n-grams, and which inputs it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.features.signature import JOINED, Signature, TensorSpec
from millrace.models.parameters import Parameters, Schedule, refuse

if TYPE_CHECKING:
    from millrace.tasks.task import Task


class Bag(Parameters):
    """Each text is the weighted mean of its n-grams' vectors; all texts and the columns go through a linear layer."""

    network: ClassVar[str] = "millrace.models.bag.network"
    behind_trunk: ClassVar[tuple[str, ...]] = ("columns", "linear", "hidden", "head")
    rows_per_pass: ClassVar[RowsPerPass] = RowsPerPass(fewest=2, most=128)
    """The engine multiplies one row's state by another kernel than two's or more; 128 rows of 512 n-grams are 32 MB."""
    example: ClassVar[Signature] = (TensorSpec(name="words", dtype="int64", shape=(12,), cardinalities=(64,)),)

    dimension: Annotated[int, Field(ge=1, le=1024)] = 128
    hidden: Annotated[int, Field(ge=0, le=8192)] = 0
    """Units of a layer beside the linear way; 0 for the linear way alone."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of a text's n-grams that a training step leaves out."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 6
    batch_size: Annotated[int, Field(ge=8, le=65536)] = 128
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 8e-3
    schedule: Schedule = "cosine"

    def accepts(self, signature: Signature, task: Task) -> None:
        """One text or more, and numbers and categories, for every task."""
        kinds = {spec.kind for spec in signature}
        if "text" not in kinds or kinds - {"text", *JOINED}:
            refuse("bag", "one text or more, and numbers and categories beside them", signature)
