"""The signature of a model: the named tensors that it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dtype = Literal["float32", "int64", "uint8"]
TensorKind = Literal["numbers", "categories", "text", "image", "history"]
JOINED: tuple[TensorKind, ...] = ("numbers", "categories")
"""The tensors that several features share, named as their kind; every other one belongs to the feature of its name."""
_OWN: dict[Dtype, TensorKind] = {"int64": "text", "uint8": "image", "float32": "history"}
"""What the tensor of one feature alone is, by its type."""


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One input tensor. The axis of rows comes first and is not part of `shape`.

    Example: seven numbers are `TensorSpec(name="numbers", dtype="float32", shape=(7,))`, a grey image of 28 × 28
    pixels is `TensorSpec(name="image", dtype="uint8", shape=(1, 28, 28))`."""

    name: str
    dtype: Dtype
    shape: tuple[int | None, ...]
    """None: not known before the training rows were read."""
    cardinalities: tuple[int | None, ...] = ()
    """Of `categories` the number of values of each entry, of a text one for all its places; 0 stands for a missing
    one, or for padding."""
    optional: tuple[bool, ...] = ()
    """Of `numbers` only: whether each entry may be missing, which NaN stands for."""

    @property
    def kind(self) -> TensorKind:
        """What its entries are: numbers or categories of several features, ids of one text (length), pixels of one
        image (channels, height, width), the numbers of one history (steps, columns)."""
        return next((kind for kind in JOINED if kind == self.name), _OWN[self.dtype])


Signature = tuple[TensorSpec, ...]
