"""The tensor of one free text: the ids of its words or pieces, 0 beyond its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from millrace.features.tensors.entries import Entries

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.features.tensors.entries import Distance

    Array = npt.NDArray[Any]
    Floats = npt.NDArray[np.float64]


class WordEntries(Entries):
    """Entries of a text: int64 (N, L)."""

    table: ClassVar = "tokens"

    def distance(self, sample: Callable[[], Array]) -> Distance:
        """A function that gives the Jaccard distance: 1 minus (ids that both texts have / ids that either has).

        Two texts without any id are at a distance of 0."""
        return _apart_in_words


def _apart_in_words(ids_NL: Array, ids_L: Array) -> Floats:
    import numpy as np

    own = np.unique(ids_L[ids_L > 0])
    # An id that comes twice counts once: in a sorted row, a repeated id equals the one before it. Padding, 0, does not
    # count: it equals the 0 that is prepended.
    sorted_NL = np.sort(ids_NL, axis=1)
    is_first = np.diff(sorted_NL, axis=1, prepend=0) > 0
    common_N = (is_first & np.isin(sorted_NL, own)).sum(axis=1)
    either_N = is_first.sum(axis=1) + len(own) - common_N
    return np.where(either_N > 0, 1 - common_N / np.maximum(either_N, 1), 0.0)
