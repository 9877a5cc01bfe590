"""When two answers count as the same."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from millrace.errors import FieldError
from millrace.evaluation.agreement import first_disagreement
from millrace.evaluation.bootstrap import BLOCKS, Bootstrap, days, entities, successive
from millrace.evaluation.comparison import compare
from millrace.evaluation.evidence import FEWEST_BLOCKS
from millrace.evaluation.sequential import (
    ERROR,
    WITHIN,
    bet,
    first_crossing,
    judge_labels,
    plan,
    power,
)
from millrace.tasks.metrics import auc


@pytest.mark.parametrize(
    ("came", "expected", "is_same"),
    [
        ({"value": 1, "probability": 0.75}, {"value": 1, "probability": 0.5}, False),
        ({"value": "high", "confidence": 0.5}, {"value": "high", "confidence": 0.5}, True),
        ({"value": "low", "confidence": 0.5}, {"value": "high", "confidence": 0.5}, False),
        ({}, {"value": 1.0}, False),
        ({"value": None}, {"value": 1.0}, False),
        ({"value": math.nan}, {"value": 1.0}, False),
        ({"value": 1.0}, {"value": None}, False),
        ({"value": 1.0, "more": 7}, {"value": 1.0}, True),
        ({"value": 1.0, "word": None}, {"value": 1.0, "word": None}, True),
        # A large number may differ by as many digits as a small one.
        ({"value": 1e6 + 1}, {"value": 1e6}, True),
        ({"value": 1.001}, {"value": 1.0}, False),
    ],
)
def test_when_two_answers_are_the_same(came, expected, is_same):
    assert (first_disagreement([came], [expected]) == "") is is_same


def test_the_interval_of_a_mean_is_that_of_the_formula() -> None:
    """Independent rows, one in each of 200 blocks: the normal interval of a mean, within the noise of the draws."""
    values = np.random.default_rng(0).normal(5, 2, BLOCKS)
    found = Bootstrap(successive(BLOCKS)).mean(values)
    half = 1.96 * values.std() / math.sqrt(BLOCKS)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)


def test_it_covers_what_is_true_though_days_go_together() -> None:
    """95 of 100 intervals hold the true mean of a stream with good and bad days; intervals of single rows do not."""
    rng, covered, naive = np.random.default_rng(0), 0, 0
    block_N = np.repeat(np.arange(60), 48)
    for _ in range(100):
        wrong_N = (rng.random(len(block_N)) < np.repeat(rng.uniform(0.05, 0.35, 60), 48)).astype(float)
        found = Bootstrap(block_N).mean(wrong_N)
        covered += found.low <= 0.2 <= found.high
        half = 1.96 * wrong_N.std() / math.sqrt(len(wrong_N))
        naive += abs(wrong_N.mean() - 0.2) <= half
    assert covered >= 89
    assert naive < 80


def test_too_few_blocks_have_no_interval() -> None:
    found = Bootstrap(np.array([0, 0, 1, 1, 2, 3])).mean(np.ones(6))
    assert found.value == 1.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_a_block_is_a_day_or_an_entity() -> None:
    hours = np.arange("2026-01-01T20", "2026-01-02T03", dtype="datetime64[h]")
    assert days(hours).tolist() == [0, 0, 0, 0, 1, 1, 1]
    many = [f"site {number % 40}" for number in range(120)]
    assert entities(many).tolist() == [number % 40 for number in range(120)]
    assert entities(["a", "b"] * 50).tolist() == successive(100).tolist(), "two entities are too few to draw from"
    assert entities(list(range(1000))).tolist() == successive(1000).tolist()


def test_a_figure_of_too_few_blocks_or_of_no_draw_has_no_interval() -> None:
    few = Bootstrap(np.arange(FEWEST_BLOCKS - 1)).figures(lambda rows: {"count": float(len(rows))})
    assert math.isnan(few["count"].low)
    labels = np.array([1.0] + [0.0] * 199, np.float32)
    rare = Bootstrap(successive(200)).figures(lambda rows: {"auc": auc(np.arange(200.0)[rows], labels[rows])})
    assert rare["auc"].value == 0
    assert rare["auc"].high == 0, "the draws without the one positive row have no AUC, the others have this one"


TIMES = np.arange("1996-12-01", "1996-12-29", dtype="datetime64[m]")[::30]
DAYS = len(TIMES) // 48


def drawn(rng: np.random.Generator, accuracy: float) -> np.ndarray:
    """Wrong answers (1.0) that come and go by days, as on the real stream."""
    by_day = np.clip(accuracy + rng.normal(0, 0.15, DAYS), 0, 1)
    return (rng.random(len(TIMES)) >= np.repeat(by_day, 48)).astype(float)


@pytest.mark.parametrize(("of_days", "is_known"), [(1, False), (4, False), (5, True)])
def test_rows_of_a_few_days_have_no_bound(of_days: int, is_known: bool) -> None:
    """Of one day the bound would be the difference itself."""
    rng = np.random.default_rng(0)
    rows = slice(of_days * 48)
    compared = compare(drawn(rng, 0.8)[rows], drawn(rng, 0.8)[rows], days(TIMES[rows]), confidence=0.95)
    assert bool(np.isfinite(compared.lower_bound)) == is_known
    assert np.isfinite(compared.difference)


@pytest.mark.parametrize("rows", [7, 200, 1001])
def test_rows_without_a_time_are_drawn_by_blocks_of_neighbours(rows: int) -> None:
    """Where neighbours are alike, blocks give a wider bound than the same rows shuffled."""
    rng = np.random.default_rng(0)
    runs = np.repeat(rng.random(rows // 5 + 1), 5)[:rows]
    compared = compare(runs, np.full(rows, 0.5), successive(rows), confidence=0.95)
    assert compared.rows == rows
    assert compared.lower_bound < compared.difference
    if rows > 1000:
        shuffled = compare(rng.permutation(runs), np.full(rows, 0.5), successive(rows), confidence=0.95)
        assert compared.lower_bound < shuffled.lower_bound


POINT = plan(disagreement=0.05, gain=0.01, requests_a_day=100.0)
"""One point at 5 % of answers that differ, one label a block."""


@pytest.mark.parametrize(("horizon", "ended"), [(14, False), (40, True)])
def test_of_all_signs_no_larger_share_crosses_than_is_spent(horizon, ended):
    """Up to the horizon, and at the end of a stated time."""
    crossed = [first_crossing(signs, horizon, ended=ended) for signs in product((1, -1), repeat=14)]
    assert 0.01 < sum(place is not None for place in crossed) / len(crossed) <= ERROR


@pytest.mark.parametrize("null", [0.3, 0.5])
def test_a_bet_on_a_fair_game_keeps_its_mean(null):
    # All outcomes of 10 labels, weighted by their probability under the null.
    mean = 0.0
    for labels in product((1, -1), repeat=10):
        share = math.prod(null if label > 0 else 1 - null for label in labels)
        mean += share * math.exp(bet(labels, null=null)[-1])
    assert mean == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("asked", [{"gain": 0.0}, {"gain": 0.06}, {"gain": 0.0, "margin": 0.05}, {"gain": 0.0005}])
def test_a_plan_that_no_label_can_fill_is_refused(asked):
    with pytest.raises(FieldError):
        plan(disagreement=0.05, requests_a_day=100.0, **asked)


def test_a_margin_lets_an_equal_challenger_pass_and_no_worse_one():
    equal = plan(disagreement=0.05, gain=0.0, margin=0.02, requests_a_day=100.0)
    assert equal.horizon < 42
    assert power(equal.horizon, share=0.3, null=equal.null) <= ERROR


def test_labels_decide_and_missing_ones_count_against_either_verdict():
    assert judge_labels([1] * 60, POINT) == "better"
    assert judge_labels([-1] * 60, POINT) == "worse"
    assert judge_labels([1, -1] * 60, POINT) is None
    assert judge_labels([0] * 168, POINT) is None
    assert judge_labels([], POINT) is None


def test_at_the_end_of_a_stated_time_the_rest_of_the_error_is_spent():
    labels = [1] * 35 + [-1] * 20
    labels = [one for pair in zip(labels[:20], labels[35:], strict=True) for one in pair] + labels[20:35]
    assert judge_labels(labels, POINT) is None
    assert judge_labels(labels, POINT, ended=True) == "better"


def test_beyond_the_horizon_only_the_bet_goes_on():
    # 54 of 100 labels: not enough for the horizon, but they add up.
    labels = ([-1] * 23 + [1] * 27) * 80
    places = first_crossing(labels, POINT.horizon)
    assert places is not None
    assert places > POINT.horizon
    assert bet(labels[: places + 1])[-1] >= -math.log(ERROR * (1 - WITHIN)) > bet(labels[:places])[-1]
