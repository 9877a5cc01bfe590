"""Temperature scaling (Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2), two classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

BOUNDS = (0.05, 20.0)
"""Where all validation rows are right the best temperature is 0, where none is better than chance infinity."""


def fit_temperature(logit_N: npt.NDArray[np.floating], label_N: npt.NDArray[np.floating]) -> float:
    """The temperature T, within BOUNDS, for which sigmoid(logit / T) has the lowest log loss.

    The loss is convex in 1/T, so the sign of its slope is halved down."""
    z_N, y_N = logit_N.astype(np.float64), label_N.astype(np.float64)
    low, high = 1 / BOUNDS[1], 1 / BOUNDS[0]
    for _ in range(60):
        middle = np.sqrt(low * high)
        slope = np.mean((0.5 * (1 + np.tanh(middle * z_N / 2)) - y_N) * z_N)
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(1 / np.sqrt(low * high))
