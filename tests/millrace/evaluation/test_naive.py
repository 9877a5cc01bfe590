"""The rules that a model must beat, on labels of every task."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest

from millrace.errors import SnapshotError
from millrace.evaluation.gates.baseline import BaseRate, Mean, NaiveRule, SeasonalNaive
from millrace.evaluation.naive import RULES, LabelledRows, naive_figures
from millrace.tasks.binary import Binary
from millrace.tasks.catalogue import TASKS
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.regression import Regression

START = np.datetime64("1996-12-01", "us")
DAY_BEFORE = SeasonalNaive(kind="seasonal_naive", lag_hours=24, margin=0)
BASE_RATE = BaseRate(kind="base_rate", margin=0)
MEAN = Mean(kind="mean", margin=0)


def rows(
    target: list[Any], hours: list[float], test: slice, entities: str = "", dtype: Any = np.float32
) -> LabelledRows:
    return LabelledRows(
        target_N=np.array(target, dtype),
        times_N=np.array([START + np.timedelta64(round(hour * 3600), "s") for hour in hours]),
        entity_N=list(entities or " " * len(target)),
        test=test,
    )


def test_the_catalogue_the_gates_and_the_tasks_name_the_same_rules() -> None:
    kinds = {get_args(gate.model_fields["kind"].annotation)[0] for gate in get_args(get_args(NaiveRule)[0])}
    assert kinds == set(RULES) == {rule for task in TASKS.values() for rule in task.naive_rules}


def test_the_label_of_a_day_before_is_the_forecast() -> None:
    found = naive_figures(DAY_BEFORE, rows([1, 0, 1, 1, 0, 0], [0, 12, 24, 36, 48, 60], slice(2, 6)), Binary())
    assert (found.rule, found.rows, found.metrics["error"]) == ("seasonal_naive", 4, 0.75)


def test_the_number_of_a_day_before_is_off_by_an_amount() -> None:
    found = naive_figures(DAY_BEFORE, rows([3.0, 1.0, 5.5], [0, 24, 48], slice(1, 3)), Regression())
    assert found.metrics["mae"] == pytest.approx((2 + 4.5) / 2)


def test_the_class_of_a_day_before_is_one_of_several() -> None:
    task = Multiclass(classes=("a", "b", "c"))
    found = naive_figures(DAY_BEFORE, rows([2, 2, 1], [0, 24, 48], slice(1, 3), dtype=np.int64), task)
    assert found.metrics["error"] == 0.5


def test_rows_without_a_day_before_them_do_not_count() -> None:
    found = naive_figures(DAY_BEFORE, rows([1, 1, 0], [0, 24, 30], slice(1, 3)), Binary())
    assert (found.rows, found.metrics["error"]) == (1, 0.0)


def test_without_any_such_row_there_is_no_baseline() -> None:
    with pytest.raises(SnapshotError, match="got none"):
        naive_figures(DAY_BEFORE, rows([1, 1], [0, 5], slice(1, 2)), Binary())


def test_each_entity_has_its_own_yesterday() -> None:
    found = naive_figures(DAY_BEFORE, rows([0, 1, 0, 1], [0, 0, 24, 24], slice(2, 4), "abab"), Binary())
    assert found.metrics["error"] == 0.0


def test_the_class_of_most_rows_before_the_test_days_is_the_base_rates_answer() -> None:
    found = naive_figures(BASE_RATE, rows([0, 0, 1, 1, 1, 0, 1], list(range(7)), slice(3, 7)), Binary())
    assert found.metrics["error"] == 0.75


def test_the_base_rate_answers_the_shares_before_the_test_days() -> None:
    found = naive_figures(BASE_RATE, rows([1, 0, 0, 0, 1, 0], list(range(6)), slice(4, 6)), Binary())
    assert found.metrics["log_loss"] == pytest.approx(-(math.log(0.25) + math.log(0.75)) / 2)
    task = Multiclass(classes=("a", "b", "c"))
    found = naive_figures(BASE_RATE, rows([0, 0, 1, 2, 1], list(range(5)), slice(4, 5), dtype=np.int64), task)
    assert found.metrics["log_loss"] == pytest.approx(-math.log(0.25))


def test_the_mean_looks_at_nothing_of_the_test_days() -> None:
    found = naive_figures(MEAN, rows([1.0, 3.0, 100.0], [0, 1, 2], slice(2, 3)), Regression())
    assert found.metrics["mae"] == pytest.approx(98)
