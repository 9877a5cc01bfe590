"""How far training rows lie from one row, feature by feature: Gower's distance, as the model's encoders read both.

J. C. Gower 1971, "A general coefficient of similarity and some of its properties", Biometrics 27 (4), 857-871: the mean
over the features of a distance between 0 and 1, weighted. Each kind of tensor has its own (`features/tensors`).

N rows, F features.
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
"""Training rows, evenly spread, that ranks are counted among: a share is known to a hundredth."""
BLOCK = 1024
"""Rows that are encoded at a time: of images of 256 × 256 pixels 128 MB."""


@dataclass(frozen=True, kw_only=True)
class Near:
    """One of the nearest rows."""

    place: int
    """In the table."""
    distance: float
    """From 0 for a row that the model reads as the same to 1."""
    apart: Mapping[str, float]
    """The distance of each feature, by its name, from 0 to 1."""


def nearest(
    table: pa.Table, row: Mapping[str, Any], features: Features, weights_F: Floats, *, count: int
) -> tuple[Near, ...]:
    """The rows of `table` with the smallest distances from `row`, the nearest first; of equal ones the later first.

    `row` is as JSON holds it; weights need no sum of their own."""
    import numpy as np

    spread = np.unique(np.linspace(0, table.num_rows - 1, RANKED).astype(np.int64))
    sample = table.take(spread)
    measures = [_Measure(encoder, sample, row) for encoder in features]
    apart_NF = np.concatenate([np.column_stack([one.apart(block) for one in measures]) for block in _blocks(table)])
    distance_N = apart_NF @ weights_F / weights_F.sum()
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
    """How much each feature moves the model's answers: the mean contribution of its columns (F).

    Equal for a model without explanations, and where none of the features moves an answer."""
    import numpy as np

    means = {one.column: one.mean for one in explained.columns} if explained else {}
    found = np.array([sum(means.get(column, 0.0) for column in encoder.columns) for encoder in features])
    return found if found.sum() > 0 else np.ones(len(features))


def _blocks(table: pa.Table) -> Iterator[pa.Table]:
    return (table.slice(first, BLOCK) for first in range(0, table.num_rows, BLOCK))


class _Measure:
    """The distance of one feature from one row."""

    def __init__(self, encoder: Encoder, sample: pa.Table, row: Mapping[str, Any]) -> None:
        import numpy as np

        self._encoder = encoder
        self._row = np.array(encoder.encode_one(row), encoder.spec.dtype)
        self._distance = ENTRIES[encoder.spec.kind].distance(lambda: encoder.encode(sample))

    def apart(self, rows: pa.Table) -> Floats:
        """From 0 to 1 (N)."""
        return self._distance(self._encoder.encode(rows), self._row)
