"""Finds the margin of the gate `non_inferiority`: so wide that a model as good as the live one passes most of the time.

The gate compares two models on the same test rows. The fewer rows there are, the farther apart chance puts the errors
of two models that are equally good.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.new.spans import Naive

CONFIDENCE = 0.95
"""The confidence of the gate's one-sided bound."""
POWER = 0.8
"""How often a model that is as good as the live one shall pass."""
STANDARD_ERRORS = NormalDist().inv_cdf(CONFIDENCE) + NormalDist().inv_cdf(POWER)
"""The margin in standard errors of the difference, 2.49.

The first term is the distance of the bound from the measured difference. The second one is how far below 0 the measured
difference of equally good models lies at most, in 80 of 100 comparisons."""
SHARE_PAIRED, PAIRED = 0.6, 0.3
"""The variance of a row's difference of two models: as a share of p(1 − p) for an error p; as a share of the variance
of the rule's figure, with figures in multiples of their means.

Measured with networks and trees that were trained on different rows of the electricity, income and air quality samples:
0.06 to 0.6 for wrong answers, 0.04 to 0.33 for amounts and for the log loss of a rare class. It would be 2 if models
erred independently, but they often err on the same rows."""
LEAST_SHARE, LEAST = 0.02, 0.05
"""The margin if the rows allow a smaller one: of a share of wrong answers, and of anything else."""
STEPS = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
"""The margins that are proposed. The last one also stands for all that would be larger."""


def margin(naive: Naive) -> float:
    """The proposed margin: a difference of two shares; for amounts and the log loss, a share of the champion's figure.

    The errors of a model are not known yet. Those of the rule that it must beat stand for them."""
    needed = STANDARD_ERRORS * _deviation(naive) / math.sqrt(naive.rows) if naive.rows else 0.0
    return next((step for step in STEPS if step >= max(needed, least(naive))), STEPS[-1])


def least(naive: Naive) -> float:
    """The margin if there are rows enough."""
    return LEAST_SHARE if naive.is_compared_by_share else LEAST


def _deviation(naive: Naive) -> float:
    """The standard deviation of a row's difference of two models, in the unit of the margin."""
    if not naive.is_compared_by_share:
        return math.sqrt(PAIRED) * naive.deviation
    # Of several classes the rule may be wrong more often than not. A model is better, and p(1 - p) is largest at 0.5.
    error = min(naive.error, 0.5)
    return math.sqrt(SHARE_PAIRED * error * (1 - error))
