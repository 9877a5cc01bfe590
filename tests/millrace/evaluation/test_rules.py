"""The rules that a model must beat, on labels of every task."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from millrace.evaluation.gates.simple import TAKES, Simple, strongest
from millrace.evaluation.naive.catalogue import NAIVE_RULES, naive_figures
from millrace.evaluation.naive.constant import BaseRate
from millrace.evaluation.naive.rule import BEFORE_TEST_DAYS, LabelledRows, NaiveAnswer, NaiveGate
from millrace.evaluation.naive.seasonal_naive import SeasonalNaive
from millrace.evaluation.simple.catalogue import SIMPLE
from millrace.evaluation.simple.matrix import matrix
from millrace.features.signature import TensorKind, TensorSpec
from millrace.tasks.binary import Binary
from millrace.tasks.catalogue import TASKS
from millrace.tasks.forecast import Forecast
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.regression import Regression
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


ROWS, TRAIN = 1200, 900
RNG = np.random.default_rng(0)
HIDDEN = RNG.integers(0, 3, ROWS)
"""What each tensor shows, in its own way."""
TENSORS: dict[str, tuple[TensorSpec, np.ndarray]] = {
    "numbers": (
        TensorSpec(name="numbers", dtype="float32", shape=(2,), optional=(False, True)),
        np.column_stack([HIDDEN + RNG.normal(0, 0.1, ROWS), np.full(ROWS, np.nan)]).astype(np.float32),
    ),
    "missing numbers": (
        TensorSpec(name="numbers", dtype="float32", shape=(2,), optional=(True, True)),
        np.where(HIDDEN[:, None] == np.array([1, 2]), np.nan, 1.0).astype(np.float32),
    ),
    "categories": (
        TensorSpec(name="categories", dtype="int64", shape=(1,), cardinalities=(4,)),
        (HIDDEN[:, None] + 1).astype(np.int64),
    ),
    "many categories": (
        TensorSpec(name="categories", dtype="int64", shape=(1,), cardinalities=(1000,)),
        (HIDDEN[:, None] * 300 + RNG.integers(0, 20, (ROWS, 1))).astype(np.int64),
    ),
    "image": (
        TensorSpec(name="image", dtype="uint8", shape=(1, 4, 4)),
        np.tile((HIDDEN * 100).astype(np.uint8)[:, None, None, None], (1, 1, 4, 4)),
    ),
    "words": (
        TensorSpec(name="text", dtype="int64", shape=(6,), cardinalities=(64,)),
        # The word that tells stands anywhere among the others.
        np.column_stack(
            [
                RNG.permuted(np.column_stack([HIDDEN + 1, RNG.integers(4, 30, (ROWS, 3))]), axis=1),
                np.zeros((ROWS, 2)),
            ]
        ).astype(np.int64),
    ),
    "history": (
        TensorSpec(name="past", dtype="float32", shape=(3, 2)),
        np.where(RNG.random((ROWS, 3, 2)) < 0.1, np.nan, HIDDEN[:, None, None]).astype(np.float32),
    ),
}


def answered(kind: str, name: str, task: Any, target: np.ndarray) -> np.ndarray:
    spec, values = TENSORS[name]
    train, test = (matrix({spec.name: part}, (spec,)) for part in (values[:TRAIN], values[TRAIN:]))
    with threadpool_limits(limits=1):
        return SIMPLE[kind].fit(train, target[:TRAIN], task)(test)


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("kind", TAKES)
def test_every_kind_of_tensor_is_learnt_from(kind: str, name: str) -> None:
    classes = Multiclass(classes=("a", "b", "c"))
    gate = Simple(kind=kind)
    spec = TENSORS[name][0]
    assert (gate.misfit(classes, (spec,)) == "") == (spec.kind in TAKES[kind])
    if spec.kind not in TAKES[kind]:
        return
    output = answered(kind, name, classes, HIDDEN.astype(np.int64))
    assert output.shape == (ROWS - TRAIN, 3)
    assert output.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert classes.errors(output, HIDDEN[TRAIN:]).mean() < 0.05


@pytest.mark.parametrize("kind", TAKES)
def test_two_classes_and_numbers_have_the_form_of_their_task(kind: str) -> None:
    is_two = (HIDDEN == 2).astype(np.float32)
    output = answered(kind, "numbers", Binary(), is_two)
    assert output.shape == (ROWS - TRAIN, 1)
    assert Binary().errors(output, is_two[TRAIN:]).mean() < 0.05
    amounts = (HIDDEN * 10).astype(np.float32)
    numbers = answered(kind, "numbers", Regression(), amounts)
    assert numbers.shape == (ROWS - TRAIN, 1)
    assert Regression().errors(numbers, amounts[TRAIN:]).mean() < 2.0


def test_a_class_that_never_occurred_has_no_probability() -> None:
    task, target = Multiclass(classes=("a", "never", "b", "c")), np.array([0, 2, 3])[HIDDEN].astype(np.int64)
    output = answered("linear", "numbers", task, target)
    assert output.shape == (ROWS - TRAIN, 4)
    assert output[:, 1].max() == 0


def test_the_catalogue_has_every_kind_that_may_be_declared() -> None:
    assert set(SIMPLE) == set(TAKES)
    assert {kind for taken in TAKES.values() for kind in taken} == set(get_args(TensorKind))
    assert {spec.kind for spec, _ in TENSORS.values()} == set(get_args(TensorKind))
    assert (strongest(()), strongest(("numbers", "text"))) == ("boosted_trees", "linear")
