"""The layout of a row: which part each entry of the model's tensors belongs to.

With it, rows are made that keep only some parts.

Axes: P parts, M made rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.features.parts import NOWHERE, Part

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.features.catalogue import Features

    Tensors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The parts of one row. Each entry of the row's tensors belongs to one part, or to none."""

    parts: tuple[Part, ...]
    of_entry: Mapping[str, npt.NDArray[np.int64]]
    """By the name of the tensor (*spec.shape): the place of each entry's part in `parts`, or NOWHERE."""

    def keep(self, row: Tensors, reference: Tensors, kept_MP: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[Any]]:
        """M rows (M, *spec.shape): each has the row's entries of the parts that it keeps, else the reference's entries.

        `row` and `reference` are (*spec.shape)."""
        import numpy as np

        # One more part that is never kept. NOWHERE is -1, so as an index it is this last one.
        kept = np.concatenate([kept_MP, np.zeros((len(kept_MP), 1), np.bool_)], axis=1)
        return {
            name: np.where(kept[:, of_entry], row[name], reference[name]) for name, of_entry in self.of_entry.items()
        }

    def differs(self, row: Tensors, reference: Tensors) -> npt.NDArray[np.bool_]:
        """Whether a part differs from the reference in any entry (P)."""
        import numpy as np

        found = np.zeros(len(self.parts), np.bool_)
        for name, of_entry in self.of_entry.items():
            found[of_entry[(row[name] != reference[name]) & (of_entry != NOWHERE)]] = True
        return found


def lay_out(features: Features, row: Mapping[str, Any]) -> Layout:
    """The layout of one row, with its parts in the order of the features.

    The row is as JSON holds it or as a table gave it."""
    import numpy as np

    # Each encoder counts its own parts from 0. Features that share a tensor are joined along its first axis.
    parts: list[Part] = []
    joined: dict[str, list[npt.NDArray[np.int64]]] = {}
    for encoder in features:
        meaning = encoder.meaning(row)
        of_entry = np.where(meaning.of_entry == NOWHERE, NOWHERE, meaning.of_entry + len(parts))
        joined.setdefault(encoder.spec.name, []).append(of_entry)
        parts += meaning.parts
    return Layout(parts=tuple(parts), of_entry={name: np.concatenate(found) for name, found in joined.items()})
