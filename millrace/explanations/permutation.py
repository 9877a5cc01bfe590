"""Exchanges the cells of a column between rows, to see what a model loses without it (Breiman 2001, Random Forests)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from millrace.datasets.split import spread
from millrace.evaluation.bootstrap import Bootstrap
from millrace.evaluation.evidence import Estimate
from millrace.evaluation.measures.case import Case
from millrace.explanations.layout import lay_out
from millrace.features.catalogue import Features
from millrace.features.free_text import FreeText
from millrace.features.parts import NOWHERE

Tensors = Mapping[str, npt.NDArray[Any]]
Masks = Mapping[str, npt.NDArray[np.bool_]]

SEED = 5
PERMUTED_CELLS = 2_000
"""About how many rows are answered with a permuted column, over all columns together."""
FEWEST_ROWS = 100
"""At least so many rows are answered for each column."""


def column_masks(features: Features, row: Mapping[str, Any]) -> dict[str, Masks]:
    """For each column of the contract, by name, the masks (*spec.shape) of the entries that it fills in each tensor.

    `row` is any row."""
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
    order = np.random.default_rng(SEED).permutation(len(next(iter(tensors.values()))))
    return {
        name: np.where(masks[name], value[order], value) if masks[name].any() else value
        for name, value in tensors.items()
    }


def rises(case: Case, *, cells: int = PERMUTED_CELLS) -> dict[str, Estimate]:
    """For each column, by name, how much the error rises if its cells are exchanged between rows."""
    test = case.test
    masks = column_masks(case.features, test.slice(0, 1).to_pylist()[0])
    # The rows are spread evenly over the test rows. The same rows count for every column.
    chosen = spread(slice(0, test.num_rows), max(FEWEST_ROWS, cells // max(len(masks), 1)))
    tensors = {name: value[chosen] for name, value in case.test_tensors.items()}
    targets, bootstrap = case.test_targets[chosen], Bootstrap(case.block_T[chosen])
    errors = case.errors[chosen]
    return {
        column: bootstrap.mean(case.task.errors(case.outputs(permuted(tensors, mask)), targets) - errors)
        for column, mask in masks.items()
    }
