"""The groups of answers against a plain count."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from jobs.evaluation.answer_bins import find_answer_bins
from millrace.tasks.binary import Binary
from millrace.tasks.regression import Regression

RNG = np.random.default_rng(3)


def case(task: Any, output_TW: Any, target_T: Any) -> Any:
    return SimpleNamespace(task=task, output_TW=output_TW, test_targets=target_T)


def test_a_group_says_what_came_where_it_was_answered() -> None:
    target_T = RNG.normal(50, 10, 1000).astype(np.float32)
    answer_T = target_T + RNG.normal(0, 2, 1000).astype(np.float32)
    found = find_answer_bins(case(Regression(), answer_T[:, None], target_T))
    assert [one.rows for one in found] == [50] * 20
    assert [one.answer for one in found] == sorted(one.answer for one in found)
    lowest = np.argsort(answer_T)[:50]
    first = found[0]
    assert first.answer == pytest.approx(answer_T[lowest].mean(), rel=1e-5)
    assert (first.low, first.median, first.high) == pytest.approx(tuple(np.quantile(target_T[lowest], [0.1, 0.5, 0.9])))


def test_few_rows_make_few_groups_and_what_is_no_number_is_left_out() -> None:
    answer_T, target_T = np.arange(25.0), np.arange(25.0)
    answer_T[3] = np.nan
    assert [one.rows for one in find_answer_bins(case(Regression(), answer_T[:, None], target_T))] == [12, 12]
    assert find_answer_bins(case(Regression(), np.zeros((9, 1)), np.zeros(9))) == ()
    assert find_answer_bins(case(Binary(), np.full((100, 1), 0.9), np.ones(100))) == ()
