"""The bound on the error of decisions whose labels have come: a few windows in a row, each above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from millrace.monitoring.calibration import gumbel

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRAWS = 200
FEWEST = 40
"""Historic stretches below which no bound is set: on fewer, measured, false alarms are the rule."""


@dataclass(frozen=True)
class ErrorBound:
    """What `windows` successive windows must all exceed before the error alarms."""

    bound: float
    """In the unit of the task's error: a share of answers, or an amount in the label's unit."""
    windows: int


def error_bound(series: Sequence[Sequence[float]], *, windows: int, rate: float) -> ErrorBound | None:
    """The bound from out-of-sample errors; None where they are too few to promise anything, and where no stretch
    has an error in each of its windows: then the first error would alarm.

    Each series holds successive windows of one model that was fitted before them and then left alone, as a
    champion is. (Errors of a model that is refitted every month, or of the few held-out weeks, are too good to
    compare with: measured, both alarm on the first months in service.) What is judged is the smallest of `windows`
    successive errors, so the Gumbel quantile is taken of that, autocorrelation included."""
    lowest = lowest_of_all(series, windows)
    if len(lowest) < FEWEST:
        return None
    lowest_K = np.asarray(lowest)
    # The quantile of a few dozen values is an extrapolation: it is never below what was already seen without drift.
    bound = max(gumbel(lowest_K, rate), float(lowest_K.max()))
    return ErrorBound(bound=bound, windows=windows) if bound > 0 else None


def drawn_series(errors_T: NDArray[np.float64], *, rows: int) -> list[float]:
    """The errors of DRAWS windows of `rows` rows each, drawn from the test rows with repetition.

    For rows that are in no order of time: no later window of theirs exists, and each row may stand for any other."""
    places_DR = np.random.default_rng(0).integers(0, len(errors_T), (DRAWS, max(rows, 1)))
    return [float(error) for error in errors_T[places_DR].mean(axis=1)]


def lowest_of_all(series: Sequence[Sequence[float]], windows: int) -> list[float]:
    """The smallest error of each stretch of `windows` successive windows within one of the series."""
    return [lowest for errors in series for lowest in lowest_of(errors, windows)]


def lowest_of(errors: Sequence[float], windows: int) -> list[float]:
    """The smallest of each `windows` successive errors; empty when there are fewer."""
    return [min(errors[end - windows : end]) for end in range(windows, len(errors) + 1)]
