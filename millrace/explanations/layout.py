"""The parts of a row over all tensors of a model: entries folded to parts, and rows that keep some parts only.

P parts, M rows."""

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
    """Each entry of the row's tensors belongs to one part, or to none."""

    parts: tuple[Part, ...]
    of_entry: Mapping[str, npt.NDArray[np.int64]]
    """By tensor (*spec.shape): the place of each entry's part, or NOWHERE."""

    def fold(self, entries: Tensors) -> npt.NDArray[np.float64]:
        """The sums over the entries of each part (P) of one row's tensors (*spec.shape)."""
        import numpy as np

        found = np.zeros(len(self.parts))
        for name, of_entry in self.of_entry.items():
            belongs = of_entry != NOWHERE
            found += np.bincount(of_entry[belongs], entries[name][belongs].astype(np.float64), len(self.parts))
        return found

    def keep(self, row: Tensors, reference: Tensors, kept_MP: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[Any]]:
        """M rows: the row where a part is kept, else the reference; both (*spec.shape), the result (M, *spec.shape)."""
        import numpy as np

        # One more part, never kept, which NOWHERE points to.
        kept = np.concatenate([kept_MP, np.zeros((len(kept_MP), 1), np.bool_)], axis=1)
        return {
            name: np.where(kept[:, of_entry], row[name], reference[name]) for name, of_entry in self.of_entry.items()
        }

    def differs(self, row: Tensors, reference: Tensors) -> npt.NDArray[np.bool_]:
        """Whether a part says anything that the reference does not (P)."""
        import numpy as np

        entries = {name: (row[name] != reference[name]).astype(np.float64) for name in self.of_entry}
        return np.asarray(self.fold(entries) > 0)


def lay_out(features: Features, row: Mapping[str, Any]) -> Layout:
    """The parts of one row, as JSON holds it or a table gave it, in the order of the features."""
    import numpy as np

    parts: list[Part] = []
    joined: dict[str, list[npt.NDArray[np.int64]]] = {}
    for encoder in features:
        meaning = encoder.meaning(row)
        of_entry = np.where(meaning.of_entry == NOWHERE, NOWHERE, meaning.of_entry + len(parts))
        joined.setdefault(encoder.spec.name, []).append(of_entry)
        parts += meaning.parts
    return Layout(parts=tuple(parts), of_entry={name: np.concatenate(found) for name, found in joined.items()})
