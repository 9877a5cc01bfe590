"""What each rung's evidence leads to, and that none leads to a pass."""

from __future__ import annotations

import math
from random import Random

import pytest

from millrace.errors import FieldError
from millrace.evaluation.sequential import plan
from millrace.release.ladder import LEVELS, RUNGS, Bars, Evidence, ReviewCounts, Rung, Traffic, judge

SHADOW, ASSISTED, CANARY, LIVE = RUNGS
BARS = Bars(limit_days=60)
POINT = plan(disagreement=0.05, gain=0.01, requests_a_day=100.0)


def evidence(days: float = 10.0, **fields) -> Evidence:
    return Evidence(**{"days": days, "bars": BARS, "plan": POINT} | fields)


def traffic(requests: int, *, slow_times: float = 1.0, **counts: int) -> Traffic:
    slow = {level: round(requests * min((1 - level) * slow_times, 1)) for level in LEVELS}
    return Traffic(requests=requests, slow=slow, **counts)


@pytest.mark.parametrize("rung", RUNGS[:-1])
def test_no_data_is_never_a_pass(rung: Rung):
    waiting = judge(rung, evidence())
    assert waiting.answer == "not_yet"
    assert waiting.days == math.inf
    ended = judge(rung, evidence(days=60))
    assert ended.answer == "stop"
    assert rung.name in ended.because


def test_a_shadow_goes_on_by_labels_and_says_how_many_it_wants():
    first = judge(SHADOW, evidence(labels=((1,), (-1,)) * 10))
    assert (first.answer, first.labels, first.days) == ("not_yet", 148, 74.0)
    assert judge(SHADOW, evidence(days=61, labels=((1,),) * 60)).answer == "go_on"
    assert judge(SHADOW, evidence(labels=((-1,),) * 60)).answer == "stop"


def test_assisted_goes_by_blind_reviews_alone():
    assert judge(ASSISTED, evidence(reviews=ReviewCounts(blind=100, blind_agreed=99))).answer == "go_on"
    assert judge(ASSISTED, evidence(reviews=ReviewCounts(blind=60, blind_agreed=40))).answer == "stop"
    shown = judge(ASSISTED, evidence(reviews=ReviewCounts(shown=1000, shown_agreed=1000)))
    assert shown.answer == "not_yet"
    wanted = judge(ASSISTED, evidence(reviews=ReviewCounts(blind=shown.labels, blind_agreed=shown.labels)))
    assert wanted.answer == "go_on"


@pytest.mark.parametrize(
    ("challenger", "answer"),
    [
        (traffic(3000, errors=30), "go_on"),
        (traffic(2999, errors=30), "not_yet"),
        (traffic(300, errors=30), "stop"),
        (traffic(300, fallbacks=30), "stop"),
        (traffic(300, compared=300, changed=200), "stop"),
        (traffic(300, compared=300, changed=60), "not_yet"),
        (traffic(2000, slow_times=2.0), "stop"),
    ],
)
def test_requests_decide(challenger: Traffic, answer: str):
    bars = Bars(max_changed=0.3) if challenger.changed else BARS
    assert judge(CANARY, evidence(bars=bars, challenger=challenger, live=traffic(6000))).answer == answer


def test_load_that_slows_both_versions_down_stops_nothing():
    slow = evidence(challenger=traffic(3000, slow_times=5), live=traffic(6000, slow_times=5))
    assert judge(CANARY, slow).answer == "go_on"


def test_a_bad_canary_is_out_within_hundreds_of_requests():
    random, out = Random(3), []
    for _ in range(60):
        errors, requests, answer = 0, 0, "not_yet"
        while answer == "not_yet":
            requests, errors = requests + 1, errors + (random.random() < 0.05)
            answer = judge(CANARY, evidence(challenger=Traffic(requests=requests, errors=errors))).answer
        assert answer == "stop"
        out.append(requests)
    assert sorted(out)[30] <= 330


@pytest.mark.parametrize("bars", [{"max_errors": 0.0}, {"least_agreement": 1.0}, {"max_changed": 1.5}])
def test_a_bar_that_is_no_share_is_refused(bars: dict[str, float]):
    with pytest.raises(FieldError) as refused:
        Bars(**bars)
    assert refused.value.field in bars
