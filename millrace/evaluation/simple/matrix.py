"""The tensors of a model's features as tables of numbers for scikit-learn.

Axes: N rows, C numbers, K categories, L words of a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from millrace.features.signature import Signature
from millrace.features.tensors import ENTRIES


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """The numbers, the categories and the texts of rows, kept apart since models take them differently."""

    number_NC: npt.NDArray[np.float32]
    """NaN where nothing is known. Images and histories are flattened to columns."""
    category_NK: npt.NDArray[np.int64]
    """The place of each value in its category's list; 0 stands for a missing or unknown value."""
    cardinality_K: tuple[int, ...]
    """The number of values of each category, 0 included."""
    tokens: tuple[npt.NDArray[np.int64], ...] = ()
    """For each text the ids of its words or pieces (N, L); 0 is none."""
    vocabulary: tuple[int, ...] = ()
    """For each text the number of different ids, 0 included."""


def matrix(tensors: Mapping[str, npt.NDArray[Any]], signature: Signature) -> Matrix:
    """The tables of all tensors of the signature, columns in its order."""
    # Each list begins with a table of no columns, so that rows without any number or category can be joined too.
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
        # The number of values of a category that the signature leaves open is read from the values.
        cardinality_K=tuple(each or int(tensors[one.name].max()) + 1 for one in places for each in one.cardinalities),
        tokens=tuple(tables["tokens"]),
        vocabulary=tuple(spec.cardinalities[0] or 0 for spec in signature if ENTRIES[spec.kind].table == "tokens"),
    )
