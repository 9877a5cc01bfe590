"""Days for windows, validation and test, out of event times."""

from __future__ import annotations

import numpy as np
import pytest

from console.new.spans import find_spans
from millrace.datasets.split import split
from millrace.errors import ConfigurationError

START = np.datetime64("2020-01-01", "us")


def times(days: float, rows: int) -> np.ndarray:
    return START + (np.arange(rows) * (days * 86_400e6 / rows)).astype("timedelta64[us]")


@pytest.mark.parametrize(
    ("days", "rows", "window_days", "windows", "promised"),
    [
        (400, 40_000, 7, 57, True),
        (100, 40_000, 1, 100, True),
        (100, 2_000, 7, 14, False),
        (12, 6_000, 1, 12, False),
        (3_000, 3_000, 182, 16, False),
        (3_650, 365, 364, 10, False),
    ],
)
def test_a_window_is_a_week_where_there_are_rows_and_weeks_enough(
    days: int, rows: int, window_days: int, windows: int, promised: bool
) -> None:
    spans = find_spans(times(days, rows), where="rows.csv")
    assert (spans.window_days, spans.windows, spans.is_rate_promised) == (window_days, windows, promised)


@pytest.mark.parametrize(("days", "rows"), [(12, 600), (100, 5_000), (3_000, 3_000)])
def test_the_last_rows_validate_and_test(days: int, rows: int) -> None:
    at = times(days, rows)
    spans = find_spans(at, where="rows.csv")
    parts = split(at, validation_days=spans.validation_days, test_days=spans.test_days)
    assert 0.1 < (parts.test.stop - parts.test.start) / rows < 0.25
    assert 0.08 < (parts.validation.stop - parts.validation.start) / rows < 0.25


def test_rows_of_a_few_days_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"rows.csv: event time: expected rows on 8 days or more"):
        find_spans(times(5, 5_000), where="rows.csv")


def test_rows_that_all_lie_at_the_end_are_refused() -> None:
    late = np.sort(np.concatenate([times(60, 60), START + np.timedelta64(60, "D") + (times(1, 5_000) - START)]))
    with pytest.raises(ConfigurationError, match=r"to train on|rows on 8 days or more"):
        find_spans(late, where="rows.csv")


@pytest.mark.parametrize(("days", "test_days"), [(12, 2), (30, 5), (60, 9)])
def test_days_enough_test_to_compare_a_later_model(days: int, test_days: int) -> None:
    spans = find_spans(times(days, 6_000), where="rows.csv")
    assert (spans.test_days, spans.are_comparable) == (test_days, test_days >= 5)


def test_a_crowded_end_is_left_to_train_on() -> None:
    """The last two of sixty days have six rows of ten; a fifth day would leave too few for the rest."""
    at = np.sort(np.concatenate([times(60, 4_000), START + np.timedelta64(58, "D") + (times(2, 6_000) - START)]))
    with pytest.raises(ConfigurationError, match="to train on"):
        find_spans(at, where="rows.csv")
    crowded = np.sort(np.concatenate([times(60, 7_000), START + np.timedelta64(56, "D") + (times(4, 3_000) - START)]))
    assert find_spans(crowded, where="rows.csv").test_days < 5
