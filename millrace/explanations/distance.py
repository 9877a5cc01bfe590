"""How far training rows lie from one row, feature by feature: Gower's distance, as the model's encoders read both.

J. C. Gower 1971, "A general coefficient of similarity and some of its properties", Biometrics 27 (4), 857-871: the mean
over the features of a distance between 0 and 1, weighted. A number's is the share of training rows between the two
(J. Podani 1999, Taxon 48 (2), 331-340), so that neither its unit nor a few extreme rows matter.

N rows, F features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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

        self._encoder, self._kind = encoder, encoder.spec.kind
        self._row = np.array(encoder.encode_one(row), encoder.spec.dtype)
        self._ranks: list[_Ranks] = []
        if self._kind in ("numbers", "history"):
            # The last axis are columns: each has ranks of its own, over all steps of a history.
            self._ranks = [_Ranks(column) for column in np.moveaxis(encoder.encode(sample), -1, 0)]

    def apart(self, rows: pa.Table) -> Floats:
        """From 0 to 1 (N)."""
        import numpy as np

        encoded = self._encoder.encode(rows)
        if self._kind == "text":
            return _apart_in_words(encoded, self._row)
        if self._kind == "image":
            apart = np.abs(encoded.astype(np.int16) - self._row) / np.float32(255)
        elif self._kind == "categories":
            apart = (encoded != self._row).astype(np.float64)
        else:
            cells = [ranks.apart(encoded[..., at], self._row[..., at]) for at, ranks in enumerate(self._ranks)]
            apart = np.stack(cells, axis=-1)
        return np.asarray(apart.reshape(len(encoded), -1).mean(axis=1))


class _Ranks:
    """Where numbers lie among those of the training rows."""

    def __init__(self, sample: Array) -> None:
        """Each value's rank is the share of the sample below it, and half of the share that equals it."""
        import numpy as np

        known = sample[~np.isnan(sample)]
        self._values, counts = np.unique(known, return_counts=True)
        self._ranks = (np.cumsum(counts) - counts / 2) / max(len(known), 1)

    def apart(self, rows: Array, row: Array) -> Floats:
        """The share of the training rows between the two; 1 where one of the two is missing, 0 where both are."""
        import numpy as np

        one_is_missing = np.isnan(rows) != np.isnan(row)
        shares = np.abs(self._rank(rows) - self._rank(row))
        return np.where(one_is_missing, 1.0, np.where(np.isnan(rows), 0.0, shares))

    def _rank(self, values: Array) -> Floats:
        """In a straight line between the values of the sample, so that others differ from them too; 0 or 1 beyond."""
        import numpy as np

        if not len(self._values):
            return np.zeros(np.shape(values))
        return np.interp(values, self._values, self._ranks, left=0.0, right=1.0)


def _apart_in_words(ids_NL: Array, ids_L: Array) -> Floats:
    """1 less the share of the pieces of either text that both have (Jaccard); 0 for two texts without any."""
    import numpy as np

    own = np.unique(ids_L[ids_L > 0])
    # A piece that comes twice counts once: sorted, it equals the one before it.
    sorted_NL = np.sort(ids_NL, axis=1)
    is_first = np.diff(sorted_NL, axis=1, prepend=0) > 0
    common_N = (is_first & np.isin(sorted_NL, own)).sum(axis=1)
    either_N = is_first.sum(axis=1) + len(own) - common_N
    return np.where(either_N > 0, 1 - common_N / np.maximum(either_N, 1), 0.0)
