"""The hyperparameters of the family `transformer`, and which inputs it takes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.errors import FieldError
from millrace.features.signature import Signature, TensorKind, TensorSpec
from millrace.models.parameters import Parameters


class Transformer(Parameters):
    """Layers of self-attention over the pieces of one text or the steps of one history. Each place sees all others."""

    network: ClassVar[str] = "millrace.models.transformer.network:TransformerNetwork"
    rows_per_pass: ClassVar[RowsPerPass] = RowsPerPass(fewest=2, most=32)
    """The engine multiplies one row with another kernel than several rows: so two rows at least.

    The attention of 32 rows of 256 pieces takes 32 MB."""
    takes_one: ClassVar[tuple[TensorKind, ...]] = ("text", "history")
    example: ClassVar[Signature] = (TensorSpec(name="pieces", dtype="int64", shape=(10,), cardinalities=(50,)),)

    dimension: Annotated[int, Field(ge=2, le=2048)] = 64
    """The numbers of each place; a multiple of `heads`."""
    layers: Annotated[int, Field(ge=1, le=24)] = 2
    heads: Annotated[int, Field(ge=1, le=64)] = 4
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    epochs: Annotated[int, Field(ge=1, le=1000)] = 15
    batch_size: Annotated[int, Field(ge=8, le=65536)] = 128
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-3

    @model_validator(mode="after")
    def _heads_share_the_dimension(self) -> Self:
        if self.dimension % self.heads:
            raise FieldError(field="dimension", expected=f"a multiple of heads ({self.heads})", came=self.dimension)
        return self
