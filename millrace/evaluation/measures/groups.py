"""Divides the test rows into groups by the values of a column. Axes: T test rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from millrace.evaluation.measures.case import Case

MOST_VALUES = 20
"""The most values of a column that are groups of their own.

A number with more values is cut into quarters. A text with more has its most frequent ones, and one group OTHERS."""
QUARTERS = (0.25, 0.5, 0.75)
MISSING, OTHERS = "missing", "others"


@dataclass(frozen=True, kw_only=True)
class Group:
    """The test rows with one value in one column, or with a number from one range."""

    column: str
    value: str
    """The value as text, or the range: "up to 2", "2 to 5", "above 5", "missing", "others"."""
    rows_T: npt.NDArray[np.bool_]
    """Which test rows belong to the group."""

    @property
    def rows(self) -> int:
        return int(self.rows_T.sum())


def groups(case: Case, columns: tuple[str, ...]) -> Iterator[Group]:
    """The groups of each column; every test row is in exactly one group of each column.

    The quarters of a number are taken from the training rows."""
    for column in columns:
        name_T = _names(case.part(case.parts.train)[column], case.test[column])
        for value in sorted(set(name_T)):
            yield Group(column=column, value=value, rows_T=np.array([name == value for name in name_T]))


def _names(train: pa.ChunkedArray, test: pa.ChunkedArray) -> list[str]:
    """The name of the group of each test row (T) in one column."""
    if pa.types.is_dictionary(test.type):
        test = test.cast(pa.string())
    # Few values are groups of their own, also for numbers; a number with many values is cut into quarters instead.
    counts = pc.value_counts(test.drop_null().combine_chunks())
    if len(counts) > MOST_VALUES and (pa.types.is_integer(test.type) or pa.types.is_floating(test.type)):
        return _quarters(train, test)
    kept = {one["values"] for one in sorted(counts.to_pylist(), key=lambda one: -one["counts"])[:MOST_VALUES]}
    return [MISSING if cell is None else str(cell) if cell in kept else OTHERS for cell in test.to_pylist()]


def _quarters(train: pa.ChunkedArray, test: pa.ChunkedArray) -> list[str]:
    """The name of the quarter of each test row (T); equal quartiles make fewer than four."""
    edges = np.unique(pc.quantile(train.drop_null(), q=list(QUARTERS)).to_pylist())
    names = [f"up to {edges[0]:g}", *(f"above {edge:g}" for edge in edges)]
    if len(edges) > 1:
        names[1:-1] = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    cells = test.to_pylist()
    return [MISSING if cell is None else names[int(np.searchsorted(edges, cell))] for cell in cells]
