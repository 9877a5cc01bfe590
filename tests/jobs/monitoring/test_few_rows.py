"""A window of a few rows is no window like the many that its bound was set by."""

from __future__ import annotations

import pytest

from millrace.jobs.monitoring.labels import judge_errors
from millrace.monitoring.error import ErrorBound
from tests.jobs.monitoring import test_labels


def test_a_window_of_two_rows_has_no_figure_where_hundreds_are_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single error of two is above any bound; where each window has a few rows, it is judged."""
    monkeypatch.setattr(test_labels, "ROWS", 2)
    windows = [test_labels.answered(seed=seed) for seed in range(20)]
    few = next(one for one in windows if one.error and one.error.error > 0)
    bound = ErrorBound(bound=0.4, windows=1, stretches=((0.3,), (0.4,)))
    for usual_rows, is_judged in ((300, False), (4, True)):
        (report,) = judge_errors([few], bound, as_of=few.window.end, columns=(), usual_rows=usual_rows)
        assert report.error is not None
        assert report.error >= 0.5
        assert (report.ratio is not None and report.ratio > 1) is is_judged
