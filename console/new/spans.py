"""Finds how many days a window, the validation and the test take, and how far a later model may be behind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from millrace.datasets.split import split
from millrace.errors import ConfigurationError, SnapshotError
from millrace.evaluation.evidence import FEWEST_BLOCKS
from millrace.monitoring.baseline import windows_of
from millrace.monitoring.calibration import PROMISED_WINDOWS
from millrace.tasks.figures import short

Times = npt.NDArray[np.datetime64]
WINDOW_DAYS = (7, 1, 2, 3, 14, 28, 91, 182, 364)
"""Lengths of a window, in the order of preference."""
FEWEST_WINDOWS = 8
"""No length is proposed of which the rows have fewer windows."""
ENOUGH_ROWS = 100
"""Rows of a window from which on its statistics say something."""
FIRST_SHARE = 0.9
"""Share of the file's rows that starts the first training. Below 1, so a drop with a few rows less starts it too."""
HELD_OUT = (0.15, 0.2, 0.25)
"""Share of the rows that validates, and again that tests. The first share whose parts hold enough labels is taken."""
FEWEST_TRAINED = 0.4
"""Least share of the rows that must be left to train on."""
RARE = 0.1
"""If less than this share of the rows is outside the most frequent class, that class alone is nearly always right."""
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


@dataclass(frozen=True, kw_only=True)
class Spans:
    """The settings in days that fit the rows."""

    days: int
    """From the first to the last day of the rows, both included; 0 for rows without a time."""
    window_days: int
    windows: int
    """How many complete windows the rows have."""
    validation_days: int
    test_days: int
    """0 for rows without a time, as `validation_days`."""
    walk_forward_steps: int

    @property
    def are_comparable(self) -> bool:
        """Whether the test rows are of enough days to compare a later model with the live one.

        Rows without a time are not compared by days, so for them it is true."""
        return self.test_days == 0 or self.test_days >= FEWEST_BLOCKS


@dataclass(frozen=True, kw_only=True)
class Naive:
    """The rule that a model must beat, and its error on the test rows."""

    lag_hours: float | None
    """The rule answers with the label so many hours before. None: always the same answer, class shares or median."""
    error: float
    is_share: bool
    """Whether the error is a share of wrong answers, 0 to 1. Else it is an amount in the label's unit."""
    unit: str = ""
    log_loss: float | None = None
    """The log loss of the rule that answers how often each class occurs. The gate compares a model with it."""
    rows: int = 0
    """The number of test rows; 0 if the rule is not measured."""
    deviation: float = 0.0
    """The standard deviation from row to row of the figure by which models are compared, as a share of its mean."""
    is_measured: bool = True
    """False while no row has a label."""

    @property
    def has_rare_class(self) -> bool:
        """Whether nearly all rows are of one class. Then a share of wrong answers hardly tells models apart."""
        return self.log_loss is not None and self.lag_hours is None and self.error < RARE

    @property
    def is_compared_by_share(self) -> bool:
        """Whether two models are compared by their shares of wrong answers, and not by amounts or the log loss."""
        return self.is_share and not self.has_rare_class

    @property
    def rule(self) -> str:
        """The rule in words."""
        if self.lag_hours:
            return f"the label {self.lag_hours:g} hours before"
        return "always answering how often each class occurs" if self.is_share else "always the median"

    @property
    def said(self) -> str:
        """How good the rule is, in words. The figure that the gate compares comes first."""
        if not self.is_measured:
            return "no label has measured yet"
        if self.is_share and self.log_loss is not None:
            right = f"the class of most rows is right on {1 - self.error:.1%} of them"
            return f"has the log loss {self.log_loss:.4f} on the test rows, the figure that the gate compares ({right})"
        if self.is_share:
            return f"is right on {1 - self.error:.1%} of the test rows"
        return f"is off by {short(self.error)}{' ' * bool(self.unit)}{self.unit} on the test rows on average"


NO_NAIVE = Naive(lag_hours=None, error=1.0, is_share=True)
"""Stands for the rule until it is measured."""


def spans_without_time() -> Spans:
    """The spans of rows that have no times, and so are not split by days."""
    return Spans(
        days=0,
        window_days=7,
        windows=PROMISED_WINDOWS,
        validation_days=0,
        test_days=0,
        walk_forward_steps=0,
    )


def find_spans(times_N: Times, *, where: str, held_out: float = HELD_OUT[0]) -> Spans:
    """The spans for rows at these ascending event times (datetime64[us]). `held_out` is a share of HELD_OUT.

    Raises ConfigurationError if the rows lie too close together for windows or for three parts."""
    first, last = (times_N[at].astype("datetime64[D]") for at in (0, -1))
    days = int((last - first).astype(int)) + 1
    seconds_N = times_N.astype("datetime64[s]").astype(np.int64)
    # By length in days: how many complete windows there are, and the median of their rows.
    found = {}
    for length in WINDOW_DAYS:
        if days < FEWEST_WINDOWS * length:
            continue
        window_N, complete = windows_of(seconds_N, length)
        if len(complete) >= FEWEST_WINDOWS:
            found[length] = (len(complete), float(np.median(np.bincount(window_N)[complete])))
    if not found:
        expected = (
            f"rows on {FEWEST_WINDOWS} days or more, about as many on each (windows of {WINDOW_DAYS} days were tried)"
        )
        raise ConfigurationError(where=where, field="event time", expected=expected, came=f"{first} to {last}")
    window_days = _best(found, promised=PROMISED_WINDOWS)
    test_days, validation_days = _held_out(times_N, days, held_out)
    _check_parts(times_N, validation_days, test_days, where)
    return Spans(
        days=days,
        window_days=window_days,
        windows=found[window_days][0],
        validation_days=validation_days,
        test_days=test_days,
        walk_forward_steps=2,
    )


def _best(found: dict[int, tuple[int, float]], *, promised: int) -> int:
    """The first length with enough windows of enough rows.

    Else the length with most windows among those of enough rows, else the one with most rows in a window. `promised`
    is how many windows are enough."""
    for length, (windows, rows) in found.items():
        if windows >= promised and rows >= ENOUGH_ROWS:
            return length
    enough = {length: windows for length, (windows, rows) in found.items() if rows >= ENOUGH_ROWS}
    return max(enough, key=enough.__getitem__) if enough else max(found, key=lambda length: found[length][1])


def _held_out(times_N: Times, days: int, share: float) -> tuple[int, int]:
    """How many days test and how many validate, each at least one.

    The days of the last `share` of the rows test, those of the `share` before validate. At least FEWEST_BLOCKS days
    test if these have no more than a quarter of the rows: an interval of errors needs so many, and so does the
    comparison of a later model with the live one."""

    # Days since 1970: midnight after the last row, then the days on which the last `share` and the last two begin.
    end = times_N[-1].astype("datetime64[D]").astype(int) + 1
    at = [times_N[int(len(times_N) * (1 - part))].astype("datetime64[D]").astype(int) for part in (share, 2 * share)]
    last, before = int(end - at[0]), int(at[0] - at[1])
    compared = times_N >= np.datetime64(int(end) - FEWEST_BLOCKS, "D")
    test_days = max(1, last, FEWEST_BLOCKS if compared.mean() <= HELD_OUT[-1] else 0)
    return test_days, max(1, min(before, days - test_days - 1))


def _check_parts(times_N: Times, validation_days: int, test_days: int, where: str) -> None:
    """Raises ConfigurationError if a part has no rows, or if too few rows are left to train on."""
    try:
        trained = split(times_N, validation_days=validation_days, test_days=test_days).train.stop
    except SnapshotError as error:
        expected = "rows to train on, to validate on and to test on"
        raise ConfigurationError(where=where, field="event time", expected=expected, came=str(error)) from None
    if trained < FEWEST_TRAINED * len(times_N):
        expected = f"{FEWEST_TRAINED:.0%} of the rows before the last {validation_days + test_days} days, to train on"
        raise ConfigurationError(where=where, field="event time", expected=expected, came=f"{trained} rows")


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
