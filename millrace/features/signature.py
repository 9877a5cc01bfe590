"""The signature of a model: the names, types and shapes of the tensors that it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from millrace.errors import WorkloadError

Dtype = Literal["float32", "int64", "uint8"]
TensorKind = Literal["numbers", "categories", "text", "image", "history"]
JOINED: tuple[TensorKind, ...] = ("numbers", "categories")
"""The tensors that several features share; their name is their kind. Every other tensor belongs to one feature, and has
its name."""
_OWN: dict[Dtype, TensorKind] = {"int64": "text", "uint8": "image", "float32": "history"}
"""The kind of a tensor that belongs to one feature, by its type."""


def check_own(name: str, what: str) -> None:
    """Raise WorkloadError if a column with a tensor of its own has the name of one that several features share."""
    if name in JOINED:
        where, field, expected = "workload.yaml", "prediction.features", f"another name than {' or '.join(JOINED)}"
        raise WorkloadError(where=where, field=field, expected=f"{expected} for {what}", came=name)


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One input tensor. The axis of rows comes first and is not part of `shape`.

    Seven numbers are `TensorSpec(name="numbers", dtype="float32", shape=(7,))`. A grey image of 28 × 28 pixels is
    `TensorSpec(name="image", dtype="uint8", shape=(1, 28, 28))`."""

    name: str
    dtype: Dtype
    shape: tuple[int | None, ...]
    """A size is None until the training rows were read."""
    cardinalities: tuple[int | None, ...] = ()
    """How many different values an entry has, 0 included: one number for each entry of `categories`, one for a text.

    The value 0 stands for a missing category, or for padding of a text. None until the training rows were read."""
    optional: tuple[bool, ...] = ()
    """For `numbers` only: whether each entry may be missing. NaN stands for a missing number."""
    pretrained: tuple[int, ...] = ()
    """The sizes of the frozen encoder that reads this text or image, as that encoder has them; empty without one."""

    @property
    def kind(self) -> TensorKind:
        """What the entries are.

        `numbers` and `categories` are of several features. A `text` is the ids of one text (length), an `image` the
        samples of one image (channels, height, width), a `history` the numbers of one history (steps, columns)."""
        return next((kind for kind in JOINED if kind == self.name), _OWN[self.dtype])


Signature = tuple[TensorSpec, ...]
