"""Exchanges the cells of a column between rows, to see what a model loses without it (Breiman 2001, Random Forests)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from millrace.explanations.layout import lay_out
from millrace.features.free_text import FreeText
from millrace.features.parts import NOWHERE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.features.catalogue import Features

    Tensors = Mapping[str, npt.NDArray[Any]]
    Masks = Mapping[str, npt.NDArray[np.bool_]]

SEED = 5


def column_masks(features: Features, row: Mapping[str, Any]) -> dict[str, Masks]:
    """For each column of the contract, by name, the masks (*spec.shape) of the entries that it fills in each tensor.

    `row` is any row."""
    import numpy as np

    # The number of a column stands in for its parts. NOWHERE is -1: as an index it is the last of `numbers`.
    layout = lay_out(features, row)
    # A text may be empty: its places are its column's all the same.
    texts = [encoder for encoder in features if isinstance(encoder, FreeText)]
    names = list(dict.fromkeys([*(part.column for part in layout.parts), *(text.name for text in texts)]))
    numbers = np.array([names.index(part.column) for part in layout.parts] + [NOWHERE])
    of_entry = {name: numbers[places] for name, places in layout.of_entry.items()}
    for text in texts:
        of_entry[text.name] = np.full_like(of_entry[text.name], names.index(text.name))
    return {
        column: {name: places == number for name, places in of_entry.items()} for number, column in enumerate(names)
    }


def permuted(tensors: Tensors, masks: Masks) -> dict[str, npt.NDArray[Any]]:
    """The tensors (N, *spec.shape) of the rows, with the entries of the masks taken from other rows.

    The rows are exchanged in an order that is always the same."""
    import numpy as np

    order = np.random.default_rng(SEED).permutation(len(next(iter(tensors.values()))))
    return {
        name: np.where(masks[name], value[order], value) if masks[name].any() else value
        for name, value in tensors.items()
    }
