"""The hyperparameters of the family `bag`, and which inputs it takes."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.features.signature import JOINED, Signature, TensorSpec
from millrace.models.parameters import Parameters, Schedule, refuse
from millrace.tasks.task import Task


class Bag(Parameters):
    """Each text is the weighted mean of its n-grams' vectors; all texts and the columns go through a linear layer."""

    network: ClassVar[str] = "millrace.models.bag.network:BagNetwork"
    behind_trunk: ClassVar[tuple[str, ...]] = ("columns", "linear", "hidden", "head")
    rows_per_pass: ClassVar[RowsPerPass] = RowsPerPass(fewest=2, most=128)
    """The engine multiplies the state of one row with another kernel than the states of several: so two rows at least.

    128 rows of 512 n-grams take 32 MB."""
    example: ClassVar[Signature] = (TensorSpec(name="words", dtype="int64", shape=(12,), cardinalities=(64,)),)

    dimension: Annotated[int, Field(ge=1, le=1024)] = 128
    """The numbers of an n-gram's vector."""
    hidden: Annotated[int, Field(ge=0, le=8192)] = 0
    """The units of a hidden layer beside the linear layer; 0 for the linear layer alone."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """The share of a text's n-grams that a training step leaves out."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 6
    batch_size: Annotated[int, Field(ge=8, le=65536)] = 128
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 8e-3
    schedule: Schedule = "cosine"

    def accepts(self, signature: Signature, task: Task) -> None:
        """The family takes one text or more, with or without numbers and categories, for every task.

        Raises WorkloadError for other inputs."""
        kinds = {spec.kind for spec in signature}
        if "text" not in kinds or kinds - {"text", *JOINED}:
            refuse("bag", "one text or more, and numbers and categories beside them", signature)
