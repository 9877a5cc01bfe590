"""The tensors of a model's features as one table of numbers for scikit-learn.

Axes: N rows, C numbers, K categories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from millrace.features.tensors.catalogue import ENTRIES

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.features.signature import Signature, TensorSpec


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
    tables: dict[str, list[npt.NDArray[Any]]] = {
        "numbers": [np.empty((rows, 0), np.float32)],
        "categories": [np.empty((rows, 0), np.int64)],
        "tokens": [],
    }
    for spec in signature:
        entries = ENTRIES[spec.kind]
        tables[entries.table].append(entries.flat(tensors[spec.name]))
    places = [spec for spec in signature if ENTRIES[spec.kind].table == "categories"]
    return Matrix(
        number_NC=np.concatenate(tables["numbers"], axis=1, dtype=np.float32),
        category_NK=np.concatenate(tables["categories"], axis=1),
        cardinality_K=tuple(size for spec in places for size in _cardinalities(spec, tensors[spec.name])),
        tokens=tuple(tables["tokens"]),
    )


def _cardinalities(spec: TensorSpec, values: npt.NDArray[Any]) -> list[int]:
    return [cardinality or int(values.max()) + 1 for cardinality in spec.cardinalities]
