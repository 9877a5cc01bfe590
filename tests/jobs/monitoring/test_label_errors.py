"""Which labels are doubted: on real rows with planted wrong labels, against a random order; and which never are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression

from millrace.jobs.monitoring.label_errors import SPARE, label_errors
from millrace.jobs.monitoring.labels import Answered
from millrace.messages.monitor import Window
from millrace.tasks.binary import Binary
from millrace.tasks.interval import Interval
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.multilabel import Multilabel
from millrace.tasks.regression import Regression
from millrace.tasks.task import Task
from tests import builders
from tests.electricity import HOME
from tests.outcomes import outcomes_of

START, DAY = datetime(1997, 1, 1, tzinfo=UTC), timedelta(days=1)
PLANTED = 0.04
Found = tuple[Sequence[Mapping[str, Any]], np.ndarray, np.ndarray]
"""The answers of a model to rows that it has not learnt, the labels that came, and which of these are wrong."""


def task_of(output: Mapping[str, Any]) -> Task:
    """The task that gives such answers."""
    if isinstance(output["value"], list):
        return Multilabel(labels=("a", "b"), thresholds=(0.5, 0.5))
    if isinstance(output["value"], str):
        return Multiclass(classes=("0", "1"))
    if isinstance(output["value"], int):
        return Binary()
    return Interval(quantiles=(0.1, 0.9)) if "upper" in output else Regression()


def window(
    outputs: Sequence[Mapping[str, Any]],
    labels: Sequence[Any],
    errors: Sequence[float],
    *,
    is_share: bool = True,
    learnt: int = 0,
    days: int = 7,
) -> Answered:
    """A window whose first `learnt` labels had come before the model was trained."""
    decisions = [
        builders.decision(
            id=f"d-{row}",
            workload="w",
            event_time=START,
            key={"id": row},
            input=json.dumps({"a": row}),
            output=output,
            latency_ms=1.0,
        )
        for row, output in enumerate(outputs)
    ]
    came = [START - DAY if row < learnt else START + DAY for row in range(len(outputs))]
    outcomes = outcomes_of(decisions, labels, errors, task=task_of(outputs[0]), labelled_at=came)
    told = Window(start=START, end=START + days * DAY, judge_input=False, judge_error=True)
    return Answered(window=told, outcomes=outcomes, champion="1", is_share=is_share, is_in_time=False)


def ranked(found: Answered, *, a_day: int = 1) -> list[int]:
    """The rows whose labels are doubted, the worst first."""
    report = label_errors([found], a_day, registered_at=START)
    return [int(one.id.removeprefix("d-")) for one in report.doubted]


def spoilt(labels: np.ndarray, random: np.random.Generator, *, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The labels, some of which have another class now, and which ones have."""
    wrong = np.zeros(len(labels), bool)
    wrong[random.choice(len(labels), round(PLANTED * len(labels)), replace=False)] = True
    return np.where(wrong, (labels + random.integers(1, classes, len(labels))) % classes, labels), wrong


def answers_of(model: Any, rows: Any, labels: np.ndarray, random: np.random.Generator, *, classes: int) -> Found:
    """A classifier of one half of the rows, whose labels are as wrong, and its answers to the other half."""
    order, half = random.permutation(len(labels)), len(labels) // 2
    learnt, seen = order[:half], order[half:]
    model.fit(rows[learnt], spoilt(labels[learnt], random, classes=classes)[0])
    says = model.predict_proba(rows[seen])
    outputs = [{"value": str(k), "confidence": float(p)} for k, p in zip(says.argmax(1), says.max(1), strict=True)]
    came, wrong = spoilt(labels[seen], random, classes=classes)
    return outputs, came, wrong


def digits(random: np.random.Generator) -> Found:
    images, labels = load_digits(return_X_y=True)
    return answers_of(LogisticRegression(max_iter=300), images / 16, labels, random, classes=10)


def temperature(random: np.random.Generator) -> Found:
    """Degrees of which some lost their sign, as of a typing error: by dew point, pressure and wind."""
    table = pq.read_table(HOME.parent / "air_quality/sample/beijing_pm25.parquet").slice(0, 8_000).to_pandas()
    rows, labels = table[["DEWP", "PRES", "Iws"]].to_numpy(float), table["TEMP"].to_numpy(float)
    order, half = random.permutation(len(labels)), len(labels) // 2
    model = HistGradientBoostingRegressor(random_state=0).fit(rows[order[:half]], labels[order[:half]])
    seen = order[half:]
    wrong = np.zeros(half, bool)
    wrong[random.choice(np.flatnonzero(np.abs(labels[seen]) > 8), round(PLANTED * half), replace=False)] = True
    outputs = [{"value": float(one)} for one in model.predict(rows[seen])]
    return outputs, np.where(wrong, -labels[seen], labels[seen]), wrong


@pytest.mark.parametrize(
    ("make", "is_share", "first_quarter", "as_many"),
    [(digits, True, 0.95, 0.6), (temperature, False, 0.95, 0.8)],
    ids=["digits", "temperature"],
)
def test_wrong_labels_are_found_among_the_first(
    make: Callable[[np.random.Generator], Found], is_share: bool, first_quarter: float, as_many: float
) -> None:
    """Of as many rows as a quarter of the wrong labels, and as all of them: at random 0.04 of either are wrong."""
    precisions = []
    for seed in range(3):
        outputs, came, wrong = make(np.random.default_rng(seed))
        if is_share:
            errors = [float(one["value"] != str(label)) for one, label in zip(outputs, came, strict=True)]
        else:
            errors = [Regression().error(one["value"], label) for one, label in zip(outputs, came, strict=True)]
        many = int(wrong.sum())
        first = ranked(window(outputs, came.tolist(), errors, is_share=is_share), a_day=many)
        precisions.append([wrong[first[: many // 4]].mean(), wrong[first[:many]].sum() / many])
    found = np.mean(precisions, axis=0)
    assert found[0] >= first_quarter
    assert found[1] >= as_many


RIGHT = [{"value": 1, "confidence": 0.9}] * 90
WRONG = [{"value": 1, "confidence": 0.99}] * 10


def test_a_label_that_the_model_may_have_learnt_is_not_doubted() -> None:
    labels, errors = [0] * 10 + [1] * 90, [1.0] * 10 + [0.0] * 90
    assert ranked(window(WRONG + RIGHT, labels, errors)) == list(range(10))
    assert ranked(window(WRONG + RIGHT, labels, errors, learnt=6)) == list(range(6, 10))


def test_an_answer_that_is_less_sure_than_usual_doubts_no_label() -> None:
    unsure = [{"value": 1, "confidence": 0.7}] * 10
    assert ranked(window(unsure + RIGHT, [0] * 10 + [1] * 90, [1.0] * 10 + [0.0] * 90)) == []
    silent = [{"value": 1}] * 100
    assert ranked(window(silent, [0] * 10 + [1] * 90, [1.0] * 10 + [0.0] * 90)) == []


def test_no_more_than_the_quota_with_spares_is_ranked() -> None:
    report = label_errors(
        [window(WRONG + RIGHT, [0] * 10 + [1] * 90, [1.0] * 10 + [0.0] * 90, days=2)], 2, registered_at=START
    )
    assert report is not None
    assert (report.quota, len(report.doubted)) == (4, 4 * SPARE)
    assert [one.doubt for one in report.doubted] == [0.99] * 8
    assert label_errors([], 2, registered_at=START) is None
    assert label_errors([window(RIGHT, [1] * 90, [0.0] * 90)], None, registered_at=START) is None


def test_of_several_labels_the_surest_wrong_one_counts() -> None:
    right = [{"value": [1, 0], "probability": [0.9, 0.1]}] * 50
    wrong = [{"value": [1, 0], "probability": [0.95, 0.3]}, {"value": [1, 0], "probability": [0.6, 0.01]}]
    labels = [[False, False], [True, True], *([[True, False]] * 50)]
    assert ranked(window(wrong + right, labels, [0.5, 0.5] + [0.0] * 50)) == [1, 0]


def test_a_number_is_doubted_by_its_error_over_the_width_of_its_interval() -> None:
    outputs = [{"value": 0.0, "lower": -1.0, "upper": 1.0}] * 50
    wide = [{"value": 0.0, "lower": -20.0, "upper": 20.0}]
    errors = [12.0, 7.0] + [1.0] * 49
    assert ranked(window(wide + outputs, errors, errors, is_share=False)) == [1]
    assert ranked(window([{"value": 0.0}] * 51, errors, errors, is_share=False)) == [0, 1]
    assert ranked(window(outputs, [0.0] * 50, [0.0] * 50, is_share=False)) == [], "all are right"
