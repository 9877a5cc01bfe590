"""The row that explanations compare with: a mean number, a missing category, an empty text, a blank image.

The serving container imports this module: numpy inside functions only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.features.signature import Signature, TensorSpec

    Tensors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """By tensor the means of the training rows, for those that hold amounts; every other entry is 0.

    Example: `Reference(means={"numbers": (0.5, 3.1), "past": (10.2,), "scan": (127.0,)})` for two numbers, a history of
    one column, whose steps all have its mean, and a grey image, whose pixels all have theirs."""

    means: Mapping[str, tuple[float, ...]]

    def tensors(self, signature: Signature) -> dict[str, npt.NDArray[Any]]:
        """The row as the model takes it, each tensor (*spec.shape)."""
        return {spec.name: self._tensor(spec) for spec in signature}

    def _tensor(self, spec: TensorSpec) -> npt.NDArray[Any]:
        import numpy as np

        shape = tuple(size or 0 for size in spec.shape)
        if (means := self.means.get(spec.name)) is None:
            return np.zeros(shape, spec.dtype)
        amounts = np.array(means).round() if spec.dtype == "uint8" else np.array(means)
        # An image has its channels first, numbers and steps have their columns last.
        placed = amounts[:, None, None] if spec.dtype == "uint8" else amounts
        return np.broadcast_to(placed, shape).astype(spec.dtype)


def fit_reference(signature: Signature, tensors: Tensors) -> Reference:
    """The means of the training rows' tensors (N, ...); what is missing does not count, and a column without any
    known cell has 0."""
    return Reference(means={spec.name: _means(spec, tensors[spec.name]) for spec in signature if spec.dtype != "int64"})


def _means(spec: TensorSpec, tensor: npt.NDArray[Any]) -> tuple[float, ...]:
    import numpy as np

    kept = 1 if spec.dtype == "uint8" else tensor.ndim - 1
    others = tuple(axis for axis in range(tensor.ndim) if axis != kept)
    known = ~np.isnan(tensor) if spec.dtype == "float32" else np.ones(tensor.shape, np.bool_)
    sums = np.where(known, tensor, 0).sum(axis=others, dtype=np.float64)
    return tuple(float(np.float32(mean)) for mean in sums / np.maximum(known.sum(axis=others), 1))
