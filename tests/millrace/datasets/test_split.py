from __future__ import annotations

import numpy as np
import pytest

from millrace.datasets.split import earlier_splits, split, windows, without_strays
from millrace.errors import SnapshotError

HOURS = np.arange("1996-12-01", "1996-12-31T06", dtype="datetime64[h]").astype("datetime64[us]")
"""30 days and 6 hours."""


def test_the_last_days_are_for_the_test_and_those_before_for_validation() -> None:
    parts = split(HOURS, validation_days=7, test_days=3)
    assert parts.end == np.datetime64("1997-01-01")
    assert parts.test_from == np.datetime64("1996-12-29")
    assert parts.validation_from == np.datetime64("1996-12-22")
    assert HOURS[parts.train][-1] < parts.validation_from == HOURS[parts.validation][0]
    assert HOURS[parts.validation][-1] < parts.test_from == HOURS[parts.test][0]
    assert parts.train.start == 0
    assert parts.test.stop == len(HOURS)


@pytest.mark.parametrize(("validation", "test"), [(30, 3), (28, 3), (7, 60)])
def test_a_snapshot_that_is_too_short_is_refused(validation: int, test: int) -> None:
    with pytest.raises(SnapshotError, match="got no training rows"):
        split(HOURS, validation_days=validation, test_days=test)


def test_a_gap_where_the_validation_days_should_be_is_refused() -> None:
    gap = HOURS[(np.datetime64("1996-12-20") > HOURS) | (np.datetime64("1996-12-29") <= HOURS)]
    with pytest.raises(SnapshotError, match="got no validation rows"):
        split(gap, validation_days=7, test_days=3)


def test_windows_are_whole_and_end_where_they_should() -> None:
    found = windows(HOURS, start=np.datetime64("1996-12-10"), end=np.datetime64("1996-12-30"), days=7)
    assert [str(window.start) for window in found] == ["1996-12-16", "1996-12-23"]
    assert [window.rows.stop - window.rows.start for window in found] == [168, 168]
    assert HOURS[found[-1].rows][-1] == np.datetime64("1996-12-29T23")


def test_windows_without_rows_are_left_out() -> None:
    gap = HOURS[np.datetime64("1996-12-20") <= HOURS]
    assert len(windows(gap, start=np.datetime64("1996-12-01"), end=np.datetime64("1996-12-29"), days=7)) == 2


def test_a_step_of_a_walk_forward_that_falls_into_a_gap_is_skipped() -> None:
    days = np.arange("2020-01-01", "2020-06-29", dtype="datetime64[D]").astype("datetime64[us]")
    gap = days[(np.datetime64("2020-05-25") > days) | (np.datetime64("2020-06-01") <= days)]
    parts = split(gap, validation_days=7, test_days=7)
    steps = earlier_splits(gap, parts, steps=5, validation_days=7, test_days=7)
    assert [str(step.end) for step in steps] == ["2020-05-25", "2020-06-01", "2020-06-08", "2020-06-15", "2020-06-22"]
    assert [step.parts is None for step in steps] == [False, True, True, False, False]
    said = [step.reason for step in steps if step.parts is None]
    assert ["got no test rows" in said[0], "got no validation rows" in said[1]] == [True, True]
    assert all(step.parts.end == step.end for step in steps if step.parts)


def test_a_walk_forward_needs_a_third_of_the_training_rows() -> None:
    days = np.arange("2020-01-01", "2020-02-10", dtype="datetime64[D]").astype("datetime64[us]")
    parts = split(days, validation_days=5, test_days=5)
    steps = earlier_splits(days, parts, steps=6, validation_days=5, test_days=5)
    assert [step.parts is None for step in steps] == [True, True, False, False, False, False]
    assert steps[0].reason.startswith("less than a third")


def days(*numbers: int) -> np.ndarray:
    return np.array(numbers).astype("datetime64[D]").astype("datetime64[us]")


FAR = 2_932_896
"""9999-12-31, counted from 1970-01-01."""


@pytest.mark.parametrize(
    ("early", "late"),
    [([], [FAR]), ([-719_162], []), ([-719_162], [400, FAR - 100, FAR]), ([], [])],
)
def test_a_few_rows_far_from_all_others_are_left_out(early: list[int], late: list[int]) -> None:
    times_N = days(*early, *range(300), *late)
    near = without_strays(times_N, days=60)
    assert (times_N[near] == days(*range(300))).all()


def test_many_rows_behind_a_gap_stay() -> None:
    times_N = days(*range(300), *range(400, 410))
    assert without_strays(times_N, days=60) == slice(0, 310)
    assert without_strays(days(1, 1000), days=60) == slice(0, 2)


def test_only_the_newest_days_train() -> None:
    whole, newest = (split(HOURS, validation_days=7, test_days=3, train_days=days) for days in (None, 5))
    assert newest.train == slice(whole.train.stop - 5 * 24, whole.train.stop)
    assert (newest.validation, newest.test) == (whole.validation, whole.test)
