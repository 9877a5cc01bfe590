"""Finds the training rows that are most like one row, by Gower's distance. Rows are taken as the encoders read them.

J. C. Gower 1971, "A general coefficient of similarity and some of its properties", Biometrics 27 (4), 857-871: the
weighted mean over the features of a distance from 0 to 1. Each kind of tensor has its own (`features/tensors`).

Axes: N rows, F features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.features.tensors.catalogue import ENTRIES

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.explanations.explained import Explained
    from millrace.features.catalogue import Features
    from millrace.features.encoder import Encoder

    Array = npt.NDArray[Any]
    Floats = npt.NDArray[np.float64]

RANKED = 4096
"""Ranks are counted among so many training rows, evenly spread. Then a share is known to a hundredth."""
BLOCK = 1024
"""Rows that are encoded at a time. With images of 256 × 256 pixels they take 128 MB."""


@dataclass(frozen=True, kw_only=True)
class Near:
    """One of the nearest rows."""

    place: int
    """The row's place in the table, counted from 0."""
    distance: float
    """0 to 1; 0 is a row that the model reads as the same."""
    apart: Mapping[str, float]
    """The distance of each feature by its name, 0 to 1."""


def nearest(
    table: pa.Table, row: Mapping[str, Any], features: Features, weights_F: Floats, *, count: int
) -> tuple[Near, ...]:
    """The `count` rows of `table` with the smallest distances from `row`, the nearest first.

    Of rows with equal distances the later one comes first. `row` is as JSON holds it. The weights (F) may have any
    sum."""
    import numpy as np

    # Ranks among an even sample, then the distances of all rows, block by block.

    spread = np.unique(np.linspace(0, table.num_rows - 1, RANKED).astype(np.int64))
    sample = table.take(spread)
    measures = [_Measure(encoder, sample, row) for encoder in features]
    apart_NF = np.concatenate([np.column_stack([one.apart(block) for one in measures]) for block in _blocks(table)])
    distance_N = apart_NF @ weights_F / weights_F.sum()
    # `lexsort` sorts by its last key first: the distance, then the later place.
    order = np.lexsort((-np.arange(len(distance_N)), distance_N))[:count]
    return tuple(
        Near(
            place=place,
            distance=float(distance_N[place]),
            apart={one.name: float(value) for one, value in zip(features, apart_NF[place], strict=True)},
        )
        for place in order.tolist()
    )


def weights(features: Features, explained: Explained | None) -> Floats:
    """How much each feature moves the model's answers (F): the mean contributions of its columns together.

    All weights are equal for a model without explanations, and if none of the features moves an answer."""
    import numpy as np

    means = {one.column: one.mean for one in explained.columns} if explained else {}
    found = np.array([sum(means.get(column, 0.0) for column in encoder.columns) for encoder in features])
    return found if found.sum() > 0 else np.ones(len(features))


def _blocks(table: pa.Table) -> Iterator[pa.Table]:
    return (table.slice(first, BLOCK) for first in range(0, table.num_rows, BLOCK))


class _Measure:
    """Measures how far rows lie from one row in one feature."""

    def __init__(self, encoder: Encoder, sample: pa.Table, row: Mapping[str, Any]) -> None:
        """`sample` are the training rows among which ranks are counted."""
        import numpy as np

        self._encoder = encoder
        self._row = np.array(encoder.encode_one(row), encoder.spec.dtype)
        self._distance = ENTRIES[encoder.spec.kind].distance(lambda: encoder.encode(sample))

    def apart(self, rows: pa.Table) -> Floats:
        """The distance of each row (N), 0 to 1."""
        return self._distance(self._encoder.encode(rows), self._row)
