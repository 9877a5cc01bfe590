"""The reference: the row that explanations compare with. It has mean numbers, no category, a blank image, no words.

The serving container imports this module, so numpy is imported inside functions only.

Axes: N rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.features.catalogue import Features, signature
from millrace.features.free_text import FreeText
from millrace.features.tensors import ENTRIES

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.features.signature import Signature, TensorSpec

    Tensors = Mapping[str, npt.NDArray[Any]]


PIECE_BYTES = 2**26
"""The means of a tensor are taken in pieces of so many bytes: it may be larger than the machine's memory."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The means of tensors that hold amounts, and what stands for a word in tensors of text.

    Example: `Reference(means={"numbers": (0.5, 3.1), "past": (10.2,), "scan": (127.0,)}, blanks={"note": 1})`. It has
    two numbers, a history of one column whose steps all have the mean 10.2, a grey image whose pixels all have the mean
    127, and a text whose pieces all become the piece 1. Every other entry is 0."""

    means: Mapping[str, tuple[float, ...]]
    """The means of the training rows, by the name of the tensor."""
    blanks: Mapping[str, int]
    """The number that stands for every word or piece, by the name of the tensor."""

    def tensors(self, signature: Signature, rows: Tensors) -> dict[str, npt.NDArray[Any]]:
        """The reference of each row as the model takes it, in the shapes of the rows' tensors (N, *spec.shape)."""
        return {spec.name: self._tensor(spec, rows[spec.name]) for spec in signature}

    def _tensor(self, spec: TensorSpec, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        import numpy as np

        # Without means, ids of words become the blank, and padding (0) stays. Categories become 0, the missing one.
        if (means := self.means.get(spec.name)) is None:
            return np.where(rows > 0, self.blanks.get(spec.name, 0), 0).astype(spec.dtype)
        return ENTRIES[spec.kind].reference(means, rows).astype(spec.dtype)


def reference_from(document: Mapping[str, Any]) -> Reference:
    """The reference in a document of model.json. Raises KeyError, TypeError or ValueError for another shape."""
    means = {name: tuple(map(float, found)) for name, found in document["means"].items()}
    return Reference(means=means, blanks=dict(document["blanks"]))


def fit_reference(features: Features, tensors: Tensors) -> Reference:
    """The reference by the tensors (N, …) of the training rows.

    Missing cells do not count for a mean. A column without any known cell has the mean 0."""
    axes = {spec: ENTRIES[spec.kind].mean_axis for spec in signature(features)}
    return Reference(
        means={spec.name: _means(tensors[spec.name], axis) for spec, axis in axes.items() if axis is not None},
        blanks={encoder.name: encoder.blank for encoder in features if isinstance(encoder, FreeText)},
    )


def _means(tensor: npt.NDArray[Any], kept: int) -> tuple[float, ...]:
    """The mean of each entry along the axis `kept`, over all other axes."""
    import numpy as np

    # Sums in float64 and counts of known cells, piece by piece.
    others = tuple(axis for axis in range(tensor.ndim) if axis != kept)
    size = max(1, PIECE_BYTES * len(tensor) // max(1, tensor.nbytes))
    sums, counts = np.zeros(tensor.shape[kept]), np.zeros(tensor.shape[kept], np.int64)
    for at in range(0, len(tensor), size):
        piece = tensor[at : at + size]
        known = ~np.isnan(piece) if piece.dtype.kind == "f" else np.ones(piece.shape, np.bool_)
        sums += np.where(known, piece, 0).sum(axis=others, dtype=np.float64)
        counts += known.sum(axis=others)
    return tuple(float(np.float32(mean)) for mean in sums / np.maximum(counts, 1))
