"""Rules by which others let a canary go on, as published, on a figure of which more is better: one value a day."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SUCCESS, FAILURE_LIMIT = 0.95, 3
"""Argo Rollouts, docs/features/analysis.md: `successCondition: result >= 0.95`, `failureLimit: 3`."""
CONFIDENT, FRACTION = 2.326, 0.25
"""Kayenta, NetflixACAJudge.scala: Mann-Whitney with `confLevel = 0.98`, `fraction = 0.25`."""


def argo(ours: Floats, theirs: Floats) -> bool:
    """Whether an analysis of our value as a share of theirs fails no more often than its limit lets it."""
    return int((ours < SUCCESS * theirs).sum()) <= FAILURE_LIMIT


def kayenta(ours: Floats, theirs: Floats) -> bool:
    """Whether our values are not classified as `Low`.

    They are if the upper end of the interval of the Hodges-Lehmann shift lies below a quarter of its size, negated."""
    shifts, size = np.sort((ours[:, None] - theirs).ravel()), len(ours)
    place = size * size / 2 + CONFIDENT * np.sqrt(size * size * (2 * size + 1) / 12)
    return bool(shifts[min(int(place), len(shifts) - 1)] >= -FRACTION * abs(np.median(shifts)))
