"""The test rows by the values of one column. Axes: T test rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.evaluation.measures.case import Case

MOST_VALUES = 20
"""Of a column whose values are taken one by one; of text with more the most frequent, and all others together."""
QUARTERS = (0.25, 0.5, 0.75)
MISSING, OTHERS = "missing", "others"


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rows with one value in one column, or with one of a range of numbers."""

    column: str
    value: str
    rows_T: npt.NDArray[np.bool_]

    @property
    def rows(self) -> int:
        return int(self.rows_T.sum())


def groups(case: Case, columns: tuple[str, ...]) -> Iterator[Group]:
    """Every row is in one group of each column; quarters of a number are those of the training rows."""
    for column in columns:
        name_T = _names(case.part(case.parts.train)[column], case.test[column])
        for value in sorted(set(name_T)):
            yield Group(column=column, value=value, rows_T=np.array([name == value for name in name_T]))


def _names(train: pa.ChunkedArray, test: pa.ChunkedArray) -> list[str]:
    if pa.types.is_dictionary(test.type):
        test = test.cast(pa.string())
    counts = pc.value_counts(test.drop_null().combine_chunks())
    if len(counts) > MOST_VALUES and (pa.types.is_integer(test.type) or pa.types.is_floating(test.type)):
        return _quarters(train, test)
    kept = {one["values"] for one in sorted(counts.to_pylist(), key=lambda one: -one["counts"])[:MOST_VALUES]}
    return [MISSING if cell is None else str(cell) if cell in kept else OTHERS for cell in test.to_pylist()]


def _quarters(train: pa.ChunkedArray, test: pa.ChunkedArray) -> list[str]:
    edges = np.unique(pc.quantile(train.drop_null(), q=list(QUARTERS)).to_pylist())
    names = [f"up to {edges[0]:g}", *(f"above {edge:g}" for edge in edges)]
    if len(edges) > 1:
        names[1:-1] = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    cells = test.to_pylist()
    return [MISSING if cell is None else names[int(np.searchsorted(edges, cell))] for cell in cells]
