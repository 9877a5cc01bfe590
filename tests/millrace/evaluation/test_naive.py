"""The rules that a model must beat, on labels of every task."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from millrace.evaluation.naive.catalogue import NAIVE_RULES, naive_figures
from millrace.evaluation.naive.constant import BaseRate
from millrace.evaluation.naive.rule import BEFORE_TEST_DAYS, LabelledRows, NaiveAnswer, NaiveGate
from millrace.evaluation.naive.seasonal_naive import SeasonalNaive
from millrace.tasks.binary import Binary
from millrace.tasks.catalogue import TASKS
from millrace.tasks.forecast import Forecast
from millrace.tasks.multiclass import Multiclass
from tests.millrace.tasks.test_tasks import case_of

START = np.datetime64("1996-12-01", "us")
DAY_BEFORE = SeasonalNaive(kind="seasonal_naive", lag_hours=24, margin=0)
BASE_RATE = BaseRate(kind="base_rate", margin=0)
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


HOURS = 60 * 24
"""Rows of 60 days, the last half of them to test on: enough for a rule that looks back some weeks."""
TEST = slice(HOURS // 2, HOURS)


def labelled(task: Any, changed: Any = ()) -> LabelledRows:
    """Labels that follow no season; those of the rows `changed` are others."""
    parts = (len(task.part_names),) if task.part_names else ()
    target_N = np.random.default_rng(0).integers(0, 2, (HOURS, *parts))
    target_N[list(changed)] = 1 - target_N[list(changed)]
    return rows(target_N.tolist(), [float(hour) for hour in range(HOURS)], TEST, dtype=task.objective.target)


def rows_answered_by_younger_labels(rule: NaiveGate, task: Any) -> list[int]:
    """The test rows whose answer changes with a label that is younger than the rule says."""
    found, answered = [], rule.answer(labelled(task), task)
    for place in range(0, HOURS - TEST.start, 61):  # of all days, each an hour later than the one before
        row = TEST.start + place
        oldest = TEST.start if rule.label_age_hours == BEFORE_TEST_DAYS else row - rule.label_age_hours + 1
        other = rule.answer(labelled(task, range(max(math.floor(oldest), 0), HOURS)), task)
        same = answered.rows_T[place] == other.rows_T[place]
        if not same or (answered.rows_T[place] and (answer_of(answered, place) != answer_of(other, place)).any()):
            found.append(row)
    return found


def answer_of(answer: NaiveAnswer, place: int) -> Any:
    return answer.output_TW[answer.rows_T[:place].sum()]


@pytest.mark.parametrize("kind", NAIVE_RULES)
def test_every_rule_answers_some_task_and_is_judged(kind: str) -> None:
    rule = NAIVE_RULES[kind].model_validate({"kind": kind, "margin": 0.1, **DECLARED.get(kind, {})})
    tasks = [task for task in (case_of(name).task for name in TASKS) if rule.suits(task)]
    assert tasks, f"{kind} suits no task"
    for task in tasks:
        figures = naive_figures(rule, labelled(task), task)
        assert figures.rule == kind
        assert 0 < figures.rows <= HOURS // 2
        assert figures.metrics["error"] is not None
        assert rows_answered_by_younger_labels(rule, task) == [], f"{kind}.label_age_hours is too large"
    assert rule.label_age_hours > 0


class Secretive(SeasonalNaive):
    """It repeats a label like its parent and does not say how old it is."""

    @property
    def label_age_hours(self) -> float:
        return BEFORE_TEST_DAYS


class Eager(SeasonalNaive):
    """It says that its label is an hour older than it is."""

    @property
    def label_age_hours(self) -> float:
        return self.lag_hours + 1


@pytest.mark.parametrize("rule", [Secretive, Eager])
def test_a_rule_that_uses_younger_labels_than_it_says_is_seen(rule: type[SeasonalNaive]) -> None:
    made = rule(kind="seasonal_naive", lag_hours=24, margin=0)
    assert rows_answered_by_younger_labels(made, Binary())


def test_the_label_of_a_day_before_is_the_forecast() -> None:
    found = naive_figures(DAY_BEFORE, rows([1, 0, 1, 1, 0, 0], [0, 12, 24, 36, 48, 60], slice(2, 6)), Binary())
    assert (found.rule, found.rows, found.metrics["error"]) == ("seasonal_naive", 4, 0.75)


def test_rows_without_a_day_before_them_do_not_count() -> None:
    found = naive_figures(DAY_BEFORE, rows([1, 1, 0], [0, 24, 30], slice(1, 3)), Binary())
    assert (found.rows, found.metrics["error"]) == (1, 0.0)


def test_each_entity_has_its_own_yesterday() -> None:
    found = naive_figures(DAY_BEFORE, rows([0, 1, 0, 1], [0, 0, 24, 24], slice(2, 4), "abab"), Binary())
    assert found.metrics["error"] == 0.0


def test_the_base_rate_answers_the_shares_before_the_test_days() -> None:
    found = naive_figures(BASE_RATE, rows([1, 0, 0, 0, 1, 0], list(range(6)), slice(4, 6)), Binary())
    assert found.metrics["log_loss"] == pytest.approx(-(math.log(0.25) + math.log(0.75)) / 2)
    task = Multiclass(classes=("a", "b", "c"))
    found = naive_figures(BASE_RATE, rows([0, 0, 1, 2, 1], list(range(5)), slice(4, 5), dtype=np.int64), task)
    assert found.metrics["log_loss"] == pytest.approx(-math.log(0.25))


@pytest.mark.parametrize(
    ("lag", "last_known"), [(1, lambda hours: 0), (6, lambda hours: hours - 6 * math.ceil(hours / 6))]
)
def test_each_horizon_is_answered_by_the_label_of_whole_seasons_before_it(lag: float, last_known: Any) -> None:
    """The label counts the hours, so an answer says which hour it is from: none later than its row."""
    task, count = Forecast(quantiles=(0.1, 0.9), horizons_hours=(1.0, 2.0, 6.0, 9.0)), 60
    target = [[hour + hours for hours in task.horizons_hours] for hour in range(count)]
    known = rows(target, [float(hour) for hour in range(count)], slice(30, count))
    found = SeasonalNaive(kind="seasonal_naive", lag_hours=lag, margin=0).answer(known, task)
    answered = task.answers(found.output_TW)
    for hour, said in zip(range(30, count), answered["value"].tolist(), strict=True):
        assert said == [hour + last_known(hours) for hours in task.horizons_hours]
    assert (answered["lower"] == answered["upper"]).all()
