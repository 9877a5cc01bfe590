"""How many days a window, the validation and the test take, and which naive rule there is to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.datasets.split import split
from millrace.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Times = npt.NDArray[np.datetime64]

WINDOW_DAYS = (7, 1, 2, 3, 14, 28, 91, 182, 364)
"""In the order of preference."""
ENOUGH_ROWS = 100
"""Of a window, for its statistics to say something."""
HELD_OUT = 0.15
"""Share of the rows that validates, and again that tests."""
FEWEST_TRAINED = 0.4
LAGS_HOURS = (24, 168)
SEASONAL_SHARE = 0.9
"""Least share of the test rows with a row so many hours before them, for a seasonal rule."""


@dataclass(frozen=True, kw_only=True)
class Spans:
    """The settings in days that fit the rows."""

    days: int
    window_days: int
    windows: int
    """Complete ones."""
    is_rate_promised: bool
    """Whether they are enough for the declared rate of false alarms."""
    validation_days: int
    test_days: int
    walk_forward_steps: int


@dataclass(frozen=True, kw_only=True)
class Naive:
    """The rule that a model must beat and how often it is right on the test rows."""

    lag_hours: int | None
    """None: always the class of most rows."""
    accuracy: float


def find_spans(times_N: Times, *, where: str) -> Spans:
    """The spans for rows at these ascending event times (datetime64[us]).

    Raises ConfigurationError where the rows lie too close for windows or for three parts."""
    import numpy as np

    from millrace.monitoring.baseline import FEWEST_WINDOWS, PROMISED_WINDOWS, windows_of

    first, last = (times_N[at].astype("datetime64[D]") for at in (0, -1))
    days = int((last - first).astype(int)) + 1
    seconds_N = times_N.astype("datetime64[s]").astype(np.int64)
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
    test_days, validation_days = _held_out(times_N, days)
    _check_parts(times_N, validation_days, test_days, where)
    return Spans(
        days=days,
        window_days=window_days,
        windows=found[window_days][0],
        is_rate_promised=found[window_days][0] >= PROMISED_WINDOWS,
        validation_days=validation_days,
        test_days=test_days,
        walk_forward_steps=4 if test_days * 8 <= days else 2,
    )


def find_naive(times_N: Times, entities: list[Any], labels: list[Any], spans: Spans) -> Naive:
    """The best naive rule on the test rows; the rows are sorted by event time."""
    import numpy as np

    test = split(times_N, validation_days=spans.validation_days, test_days=spans.test_days).test
    before = labels[: test.start]
    usual = max(sorted(set(before), key=str), key=before.count)
    best = Naive(lag_hours=None, accuracy=float(np.mean([label == usual for label in labels[test]])))
    known = dict(zip(zip(entities, times_N.tolist(), strict=True), labels, strict=True))
    for hours in LAGS_HOURS:
        choices = zip(entities[test], (times_N[test] - np.timedelta64(hours, "h")).tolist(), strict=True)
        right = [known[key] == label for key, label in zip(choices, labels[test], strict=True) if key in known]
        if len(right) >= SEASONAL_SHARE * (test.stop - test.start) and float(np.mean(right)) > best.accuracy:
            best = Naive(lag_hours=hours, accuracy=float(np.mean(right)))
    return best


def _best(found: dict[int, tuple[int, float]], *, promised: int) -> int:
    """The length with windows and rows enough, else with most windows of enough rows, else with most rows."""
    for length, (windows, rows) in found.items():
        if windows >= promised and rows >= ENOUGH_ROWS:
            return length
    enough = {length: windows for length, (windows, rows) in found.items() if rows >= ENOUGH_ROWS}
    return max(enough, key=enough.__getitem__) if enough else max(found, key=lambda length: found[length][1])


def _held_out(times_N: Times, days: int) -> tuple[int, int]:
    """Days from which the last HELD_OUT of the rows test and the HELD_OUT before them validate; each at least one."""
    end = times_N[-1].astype("datetime64[D]").astype(int) + 1
    at = [
        times_N[int(len(times_N) * (1 - share))].astype("datetime64[D]").astype(int)
        for share in (HELD_OUT, 2 * HELD_OUT)
    ]
    test_days = max(1, int(end - at[0]))
    return test_days, max(1, min(int(end - at[1]) - test_days, days - test_days - 1))


def _check_parts(times_N: Times, validation_days: int, test_days: int, where: str) -> None:
    trained = split(times_N, validation_days=validation_days, test_days=test_days).train.stop
    if trained < FEWEST_TRAINED * len(times_N):
        expected = f"{FEWEST_TRAINED:.0%} of the rows before the last {validation_days + test_days} days, to train on"
        raise ConfigurationError(where=where, field="event time", expected=expected, came=f"{trained} rows")
