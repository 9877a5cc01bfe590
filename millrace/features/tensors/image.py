"""The tensor of one image: its samples, 0 to 255."""

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
    """Entries of an image: uint8 (N, C, H, W)."""

    table: ClassVar = "numbers"
    mean_axis: ClassVar[int | None] = 1

    def flat(self, rows: Array) -> Array:
        """The samples as one table (N, C × H × W), scaled to 0 to 1."""
        import numpy as np

        return super().flat(rows).astype(np.float32) / np.float32(WHITE)

    def distance(self, sample: Callable[[], Array]) -> Distance:
        """A function that gives the mean difference of the samples, as a share of white."""
        return _difference

    def reference(self, means: Sequence[float], rows: Array) -> Array:
        """Images with the mean of the channel in every pixel, rounded to a whole sample."""
        import numpy as np

        return np.broadcast_to(np.array(means).round()[:, None, None], rows.shape)

    def noisy(self, rows: Array, deviations: Array | None, noise: float, rng: np.random.Generator) -> Array:
        """The images with normal noise of `noise` × 255, rounded to whole samples and kept within 0 to 255."""
        import numpy as np

        return np.clip(np.round(rows + rng.normal(0, noise * WHITE, rows.shape)), 0, WHITE).astype(np.uint8)


def _difference(rows: Array, row: Array) -> Floats:
    import numpy as np

    # In int16: a difference of uint8 would wrap around.
    apart = np.abs(rows.astype(np.int16) - row) / np.float32(WHITE)
    return np.asarray(apart.reshape(len(rows), -1).mean(axis=1))
