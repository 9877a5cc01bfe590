"""The pixels of one image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from millrace.features.tensors.entries import Entries

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.features.tensors.entries import Distance

    Array = npt.NDArray[Any]
    Floats = npt.NDArray[np.float64]

WHITE = 255.0


class PixelEntries(Entries):
    """Uint8 (N, C, H, W); the channels come first."""

    table: ClassVar = "numbers"
    mean_axis: ClassVar[int | None] = 1

    def flat(self, rows: Array) -> Array:
        """From 0 to 1."""
        import numpy as np

        return super().flat(rows).astype(np.float32) / np.float32(WHITE)

    def distance(self, sample: Callable[[], Array]) -> Distance:
        """The mean difference of the samples, as a share of white."""
        return _difference

    def reference(self, means: Sequence[float], rows: Array) -> Array:
        """Whole samples, one for each channel."""
        import numpy as np

        return np.broadcast_to(np.array(means).round()[:, None, None], rows.shape)

    def noisy(self, rows: Array, deviations: Array | None, noise: float, rng: np.random.Generator) -> Array:
        """In shares of white; whole samples between black and white."""
        import numpy as np

        return np.clip(np.round(rows + rng.normal(0, noise * WHITE, rows.shape)), 0, WHITE).astype(np.uint8)


def _difference(rows: Array, row: Array) -> Floats:
    import numpy as np

    apart = np.abs(rows.astype(np.int16) - row) / np.float32(WHITE)
    return np.asarray(apart.reshape(len(rows), -1).mean(axis=1))
