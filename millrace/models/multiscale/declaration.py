"""The hyperparameters of the family `multiscale`, and which inputs it takes."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from millrace.features.signature import Signature, TensorKind, TensorSpec
from millrace.models.parameters import Parameters


class Multiscale(Parameters):
    """Dense layers and a linear path beside them, over the means of the last 1, 2, 3, 4, 6, … steps.

    A step takes a tenth of the time of a recurrent network, and the model is as good if slow averages say most. If the
    target is a number, the linear path begins with the weights of least squares: so few epochs at a low learning rate
    are enough."""

    network: ClassVar[str] = "millrace.models.multiscale.network:MultiscaleNetwork"
    behind_trunk: ClassVar[tuple[str, ...]] = ("head", "linear")
    takes_one: ClassVar[tuple[TensorKind, ...]] = ("history",)
    example: ClassVar[Signature] = (TensorSpec(name="past", dtype="float32", shape=(6, 2)),)

    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=8192)], ...], Field(max_length=16)] = (64,)
    """The units of each hidden layer; empty for the linear path alone."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    batch_size: Annotated[int, Field(ge=8, le=65536)] = 256


def default_scales(steps: int) -> tuple[int, ...]:
    """1, 2, 3, 4, 6, 8, 12, 16, 24, …: the powers of two and the middles between them, below `steps`; then `steps`."""
    powers = [2**power for power in range(steps.bit_length())]
    return tuple(sorted({one for power in powers for one in (power, power * 3 // 2) if one < steps} | {steps}))
