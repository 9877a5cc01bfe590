"""The bounds against all paths of coins and against the normal theory, and what plans and draws promise."""

import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import norm

from millrace.errors import FieldError
from millrace.evaluation.sequential import (
    ERROR,
    WITHIN,
    Pair,
    bet,
    choose,
    first_crossing,
    judge_labels,
    plan,
    power,
)

POINT = plan(disagreement=0.05, gain=0.01, requests_a_day=100.0)
"""One point at 5 % of answers that differ, one label a block."""


@pytest.mark.parametrize("sizes", [(1,) * 14, (3, 1, 2, 3, 1, 0, 3, 2, 1, 3, 3, 1, 2, 3), (7, 5, 7, 1) * 3])
def test_of_all_signs_no_larger_share_crosses_than_is_spent(sizes):
    labels = max(sizes)
    blocks_of = [
        [[sign] * size + [1, -1] * ((labels - size) // 2) for sign, size in zip(signs, sizes, strict=True)]
        for signs in product((1, -1), repeat=len(sizes))
    ]
    horizon = max(sum(map(len, blocks)) for blocks in blocks_of)
    crossed = sum(first_crossing(blocks, horizon) is not None for blocks in blocks_of)
    assert 0.01 < crossed / len(blocks_of) <= ERROR


def test_a_test_that_forgets_earlier_looks_would_cross_too_often():
    # The negative control of the test above: one bound of 5 % at each of 14 looks.
    paths = np.array(list(product((1, -1), repeat=14))).cumsum(1)
    single = [norm.ppf(0.95) * math.sqrt(n) for n in range(1, 15)]
    assert (paths >= single).any(1).mean() > 2 * ERROR


@pytest.mark.parametrize("null", [0.3, 0.5])
def test_a_bet_on_a_fair_game_keeps_its_mean(null):
    # All outcomes of 10 labels, and of 5 blocks with two labels each, weighted by their probability under the null.
    for size in (1, 2):
        mean = 0.0
        for labels in product((1, -1), repeat=10):
            share = math.prod(null if label > 0 else 1 - null for label in labels)
            blocks = [labels[n : n + size] for n in range(0, 10, size)]
            mean += share * math.exp(bet(blocks, null=null)[-1])
        assert mean == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(
    "asked",
    [
        {"gain": 0.0},
        {"gain": 0.06},
        {"gain": 0.0, "margin": 0.05},
        {"gain": 0.0005},
        {"gain": 0.01, "margin": 0.01, "labels_a_block": 7},
    ],
)
def test_a_plan_that_no_label_can_fill_is_refused(asked):
    with pytest.raises(FieldError):
        plan(disagreement=0.05, requests_a_day=100.0, **asked)


def test_a_margin_lets_an_equal_challenger_pass_and_no_worse_one():
    equal = plan(disagreement=0.05, gain=0.0, margin=0.02, requests_a_day=100.0)
    assert equal.horizon < 42
    assert power(equal.horizon, share=0.3, null=equal.null)[0] <= ERROR


def test_labels_decide_and_missing_ones_count_against_either_verdict():
    assert judge_labels([[1]] * 60, POINT) == "better"
    assert judge_labels([[-1]] * 60, POINT) == "worse"
    assert judge_labels([[1], [-1]] * 60, POINT) is None
    assert judge_labels([[0]] * 168, POINT) is None
    assert judge_labels([], POINT) is None


def test_at_the_end_of_a_stated_time_the_rest_of_the_error_is_spent():
    labels = [[1]] * 35 + [[-1]] * 20
    labels = [one for pair in zip(labels[:20], labels[35:], strict=True) for one in pair] + labels[20:35]
    assert judge_labels(labels, POINT) is None
    assert judge_labels(labels, POINT, ended=True) == "better"
    # Of all signs of 14 labels still no larger share crosses.
    crossed = [first_crossing([[one] for one in signs], 40, ended=True) for signs in product((1, -1), repeat=14)]
    assert 0.01 < sum(place is not None for place in crossed) / len(crossed) <= ERROR


def test_beyond_the_horizon_only_the_bet_goes_on():
    # 54 of 100 labels: not enough for the horizon, but they add up.
    labels = ([[-1]] * 23 + [[1]] * 27) * 80
    places = first_crossing(labels, POINT.horizon)
    assert places is not None
    assert places > POINT.horizon
    assert bet(labels[: places + 1])[-1] >= -math.log(ERROR * (1 - WITHIN)) > bet(labels[:places])[-1]


def test_a_replacement_is_alike_and_the_draw_is_our_own():
    pairs = [Pair(id=f"a-{n}", confidences=(0.5 + n / 100, 0.9 - n / 100)) for n in range(40)]
    first = choose(pairs, salt="release 7")
    assert first is not None
    assert first == choose(reversed(pairs), salt="release 7")
    drawn = {choose(pairs, salt=f"release {n}") for n in range(200)}
    assert len(drawn) > 30
    second = choose(pairs, salt="release 7", owed=first)
    assert second is not None
    assert second != first
    assert abs(second.confidences[0] - first.confidences[0]) <= 0.1
    assert choose([], salt="x") is None
    assert choose([Pair(id="b-0", confidences=(0.1, 0.1))], salt="x", owed=first) is None
