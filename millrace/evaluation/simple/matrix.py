"""The tensors of a model's features as one table of numbers for scikit-learn.

Axes: N rows, C numbers, K categories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.features.signature import Signature

PIXEL = 255.0


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Numbers and categories apart, since models take them differently."""

    number_NC: npt.NDArray[np.float32]
    """NaN where nothing is known; images and histories are flattened."""
    category_NK: npt.NDArray[np.int64]
    """Places of values; 0 stands for a missing or unknown one."""
    cardinality_K: tuple[int, ...]
    tokens: tuple[npt.NDArray[np.int64], ...] = ()
    """Texts as lists of the places of their words (N, L); 0 is none."""


def matrix(tensors: Mapping[str, npt.NDArray[Any]], signature: Signature) -> Matrix:
    """All tensors of the signature, in its order."""
    rows = len(next(iter(tensors.values())))
    numbers: list[npt.NDArray[Any]] = [np.empty((rows, 0), np.float32)]
    categories: list[npt.NDArray[Any]] = [np.empty((rows, 0), np.int64)]
    cardinality_K: list[int] = []
    tokens = []
    for spec in signature:
        values = tensors[spec.name]
        if spec.kind == "categories":
            categories.append(values)
            cardinality_K += [cardinality or int(values.max()) + 1 for cardinality in spec.cardinalities]
        elif spec.kind == "text":
            tokens.append(values.reshape(rows, -1))
        else:
            scale = PIXEL if spec.kind == "image" else 1.0
            numbers.append(values.reshape(rows, -1).astype(np.float32) / np.float32(scale))
    return Matrix(
        number_NC=np.concatenate(numbers, axis=1),
        category_NK=np.concatenate(categories, axis=1),
        cardinality_K=tuple(cardinality_K),
        tokens=tuple(tokens),
    )
