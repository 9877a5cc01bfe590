"""What a trial plans and how it compares: by rows that all know, with whole days as draws."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.jobs.training.trial import Judged, _compared, _standard_error


def judged(score_V: list[float], lines: list[int] | None = None, days: list[int] | None = None) -> Judged:
    line_V = np.array(lines or range(len(score_V)), np.int64)
    return Judged(
        line_V=line_V,
        block_V=np.array(days or range(len(score_V)), np.intp),
        score_V=np.array(score_V),
        measure="error",
    )


def test_candidates_are_compared_on_the_rows_that_all_of_them_know() -> None:
    """A longer history leaves out the rows after a gap, which may be the hard ones. Lines come in any order."""
    short, long = judged([9.0, 9.0, 1.0, 2.0]), judged([2.5, 1.5], lines=[3, 2])
    rule = judged([4.0], lines=[3])
    found = list(_compared({("candidate", "0"): short, ("candidate", "1"): long, ("rival", "naive"): rule}))
    assert [(each.name, each.figure, each.behind, each.rows) for each in found] == [
        ("0", 1.5, 0.0, 2),
        ("1", 2.0, 0.5, 2),
        ("naive", 4.0, 2.0, 1),
    ]


def test_without_a_candidate_there_is_nothing_to_compare() -> None:
    assert list(_compared({("rival", "naive"): judged([1.0])})) == []


def test_rows_of_a_day_are_one_draw() -> None:
    values = np.repeat([1.0, 3.0, 2.0, 2.0], 25)
    rows, days = np.arange(100), np.repeat(np.arange(4), 25)
    assert _standard_error(values, rows) == pytest.approx(values.std() / 10)
    assert _standard_error(values, days) == pytest.approx(values.std() / 2)
