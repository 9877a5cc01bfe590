"""The rules that a model must beat, on labels of every task."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from millrace.errors import SnapshotError
from millrace.evaluation.naive.base_rate import BaseRate
from millrace.evaluation.naive.catalogue import RULES, naive_figures, suiting
from millrace.evaluation.naive.mean import Mean
from millrace.evaluation.naive.rule import LabelledRows
from millrace.evaluation.naive.seasonal_naive import SeasonalNaive
from millrace.tasks.binary import Binary
from millrace.tasks.catalogue import TASKS
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.regression import Regression

START = np.datetime64("1996-12-01", "us")
DAY_BEFORE = SeasonalNaive(kind="seasonal_naive", lag_hours=24, margin=0)
BASE_RATE = BaseRate(kind="base_rate", margin=0)
MEAN = Mean(kind="mean", margin=0)
DECLARED: dict[str, dict[str, Any]] = {"seasonal_naive": {"lag_hours": 24}}
"""What a rule needs besides its margin."""


def rows(
    target: list[Any], hours: list[float], test: slice, entities: str = "", dtype: Any = np.float32
) -> LabelledRows:
    return LabelledRows(
        target_N=np.array(target, dtype),
        times_N=np.array([START + np.timedelta64(round(hour * 3600), "s") for hour in hours]),
        entity_N=list(entities or " " * len(target)),
        test=test,
    )


MULTICLASS = Multiclass(classes=("a", "b", "c"))


def test_each_task_has_the_rules_that_suit_it() -> None:
    by_task = {task.kind: set(suiting(task)) for task in (Binary(), MULTICLASS, Regression())}
    assert by_task["binary"] == by_task["multiclass"] >= {"seasonal_naive", "base_rate"}
    assert by_task["regression"] >= {"seasonal_naive", "mean"}
    assert "mean" not in by_task["binary"]
    assert "base_rate" not in by_task["regression"]


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_no_task_is_without_a_rule(task: Any) -> None:
    assert suiting(task)


@pytest.mark.parametrize("kind", RULES)
def test_every_rule_answers_some_task_and_is_judged(kind: str) -> None:
    rule = RULES[kind].model_validate({"kind": kind, "margin": 0.1, **DECLARED.get(kind, {})})
    tasks = [task for task in (Binary(), MULTICLASS, Regression()) if rule.suits(task)]
    assert tasks, f"{kind} suits no task"
    for task in tasks:
        dtype = np.int64 if task is MULTICLASS else np.float32
        labelled = rows([1, 0, 1, 1, 0, 1], [0, 24, 48, 72, 96, 120], slice(2, 6), dtype=dtype)
        figures = naive_figures(rule, labelled, task)
        assert (figures.rule, figures.rows) == (kind, 4)
        assert figures.metrics["error"] is not None
    assert rule.label_age_hours > 0


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
