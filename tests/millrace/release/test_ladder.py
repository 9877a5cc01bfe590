"""What each rung's evidence leads to, and that none leads to a pass."""

from __future__ import annotations

import math
from collections import namedtuple
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from millrace.evaluation.sequential import plan
from millrace.messages.climb import Climb, TwoAnswers
from millrace.release.climb import PLAN_PAIRS, choose, look, wanted
from millrace.release.ladder import LEVELS, RUNGS, Bars, Evidence, ReviewCounts, Rung, Traffic, judge
from millrace.release.requests import Requests
from millrace.workload.rollout import Canary, Rollout, Shadow

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
    first = judge(SHADOW, evidence(labels=(1, -1) * 10))
    assert (first.answer, first.labels, first.days) == ("not_yet", 148, 74.0)
    assert judge(SHADOW, evidence(days=61, labels=(1,) * 60)).answer == "go_on"
    assert judge(SHADOW, evidence(labels=(-1,) * 60)).answer == "stop"


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


SINCE = datetime(1997, 6, 1, tzinfo=UTC)
FREE = Shadow(gain=0.05, block_days=0, label_days=10, limit_days=20)
DAYS = Shadow(gain=0.2, block_days=1, label_days=10, limit_days=35)
RIGHT, WRONG = (1.0, 0.0), (0.0, 1.0)
"""Errors of the live version and of the challenger: the challenger is right, or the live version."""


def by(shadow: Shadow, canary: Canary | None = None) -> Rollout:
    served = {"instance": {"local": "ml.m5.large"}, "max_instances": 1, "invocations_per_instance": 100}
    return Rollout(phases=("shadow", "canary", "live"), shadow=shadow, canary=canary or Canary(), **served)


def climb(version: str = "2", phase: str = "shadow") -> Climb:
    return Climb(version=version, champion="1", phase=phase, since=SINCE)


def pairs(count: int, *, differ_every: int = 5, a_day: int = 48, confidence: float = 0.7) -> list[TwoAnswers]:
    found = []
    for number in range(count):
        at = SINCE + number * timedelta(days=1) / a_day
        other = int(number % differ_every == 0)
        answers = [{"value": value, "confidence": confidence} for value in (0, other)]
        fields = {"id": f"r-{number}", "event_time": at, "inferred_at": at, "key": {"timestamp": at.isoformat()}}
        found.append(TwoAnswers(**fields, champion=answers[0], challenger=answers[1]))
    return found


def after(days: float) -> datetime:
    return SINCE + timedelta(days=days)


def labels(found: Climb, errors: tuple[float, float]) -> dict[str, tuple[float, float]]:
    return {place.id: errors for place in wanted(found)}


def test_a_plan_is_stated_before_a_label_is_asked_for():
    early, verdict = look(climb(), pairs(PLAN_PAIRS - 1), {"r-0": RIGHT}, rollout=by(FREE), now=after(2))
    assert (verdict.answer, early.plan, early.places) == ("not_yet", None, ())
    planned, verdict = look(early, pairs(PLAN_PAIRS), {"r-0": RIGHT}, rollout=by(FREE), now=after(2.1))
    assert planned.plan is not None
    assert verdict.labels == planned.plan.horizon
    assert len(planned.places) == min(planned.plan.horizon, PLAN_PAIRS // 5)
    # What the plan says is kept, whatever comes after it.
    again, _ = look(planned, pairs(500, differ_every=2), {}, rollout=by(FREE), now=after(11))
    assert again.plan == planned.plan


def test_the_label_of_a_row_counts_once_however_often_it_was_asked():
    hot = [pairs(1)[0].model_copy(update={"id": f"hot-{number}"}) for number in range(60)]
    known = hot + pairs(100, differ_every=10_000)[1:]
    found = climb()
    for hour in range(1, 30):
        waiting = [place.id for place in wanted(found)]
        found, verdict = look(found, known, dict.fromkeys(waiting, RIGHT), rollout=by(FREE), now=after(3 + hour / 24))
        assert verdict.answer == "not_yet"
    assert [place.id for place in found.places] == ["hot-0"]


def test_one_label_of_each_day_that_is_over_is_asked_for():
    found, _ = look(climb(), pairs(480), {}, rollout=by(DAYS), now=after(9.5))
    days = [place.block for place in found.places]
    assert days == sorted(set(days))
    assert len(days) == 9
    # A look that comes again, or late, asks for the same.
    again, _ = look(found, pairs(480), {}, rollout=by(DAYS), now=after(9.6))
    assert again.places == found.places
    once, _ = look(climb(), pairs(480), {}, rollout=by(DAYS), now=after(9.6))
    assert [place.id for place in once.places] == [place.id for place in found.places]


def test_a_pair_on_which_both_are_wrong_gives_its_day_to_another():
    first, _ = look(climb(), pairs(480), {}, rollout=by(DAYS), now=after(9.5))
    gone = first.places[0]
    found, _ = look(first, pairs(480), {gone.id: (1.0, 1.0)}, rollout=by(DAYS), now=after(9.6))
    assert gone.id in found.ties
    assert found.places[0].block == gone.block
    assert found.places[0].id != gone.id
    assert found.places[0].label is None


def test_a_label_that_does_not_come_is_replaced_by_one_of_like_confidence():
    sure = [one.model_copy(update={"id": f"s-{one.id}"}) for one in pairs(480, confidence=0.95)]
    first, _ = look(climb(), sure[:240], {}, rollout=by(DAYS), now=after(5.5))
    late = [*sure[:240], *pairs(960)[480:]]
    unlike, _ = look(first, late, {}, rollout=by(DAYS), now=after(19))
    assert not any(place.replaced_in for place in unlike.places)
    alike = [*sure[:240], *[one.model_copy(update={"id": f"l-{one.id}"}) for one in pairs(960, confidence=0.95)[480:]]]
    found, _ = look(first, alike, {}, rollout=by(DAYS), now=after(19))
    replaced = [place for place in found.places if place.replaced_in]
    assert replaced
    assert all(place.id.startswith("l-") and place.block in {one.block for one in first.places} for place in replaced)


def test_versions_that_hardly_differ_need_no_label_with_a_margin():
    asked = FREE.model_copy(update={"margin": 0.02})
    _, verdict = look(climb(), pairs(480, differ_every=10_000), {}, rollout=by(asked), now=after(10))
    assert verdict.answer == "go_on"
    _, verdict = look(climb(), pairs(480, differ_every=10_000), {}, rollout=by(FREE), now=after(10))
    assert verdict.answer == "not_yet"
    _, verdict = look(climb(), pairs(480, differ_every=40), {}, rollout=by(asked), now=after(10))
    assert verdict.answer == "not_yet"
    by_days = asked.model_copy(update={"block_days": 1.0})  # rows of one night say it once
    _, verdict = look(climb(), pairs(480, differ_every=10_000), {}, rollout=by(by_days), now=after(10))
    assert verdict.answer == "not_yet"


def test_a_canary_goes_on_by_its_requests_without_a_label():
    ended = Requests(challenger=Traffic(requests=1000, errors=1, timed=900), live=Traffic(requests=9000, timed=9000))
    asked = by(FREE, Canary(requests=1000))
    found, verdict = look(climb(phase="canary"), pairs(480), {}, rollout=asked, now=after(1), requests=ended)
    assert (verdict.answer, verdict.because) == ("go_on", "1000 requests without a finding")
    assert wanted(found)


def test_what_a_person_or_the_labels_say_against_it_stops_a_version():
    first, _ = look(climb(phase="canary"), pairs(480), {}, rollout=by(FREE), now=after(10))
    for errors, refused, because in ((RIGHT, "wrong wards", "wrong wards"), (WRONG, "", "worse")):
        given = {"rollout": by(FREE), "now": after(10.1), "refused": refused}
        found, verdict = look(first, pairs(480), labels(first, errors), **given)
        assert (verdict.answer, because in verdict.because) == ("stop", True)
        assert found.looks[-1].because == verdict.because


def test_a_canary_whose_answers_change_is_stopped_if_that_is_judged():
    for most, answer in ((None, "not_yet"), (0.05, "stop")):
        asked = by(FREE, Canary(max_changed=most))
        _, verdict = look(climb(phase="canary"), pairs(480), {}, rollout=asked, now=after(1))
        assert verdict.answer == answer
    assert "96 of 480 requests changed" in verdict.because


def test_few_labels_bring_a_version_back_that_is_live_however_often_the_two_differ():
    rollout = by(Shadow()).model_copy(update={"warm_hours": 144})
    rows = pairs(48 * 7, differ_every=2)
    watched, verdict = look(climb(phase="live"), rows, {}, rollout=rollout, now=after(5.5))
    assert (verdict.answer, len(watched.places)) == ("not_yet", 5)
    errors = labels(watched, WRONG)
    assert look(watched, rows, errors, rollout=rollout, now=after(5.6))[1].answer == "not_yet"
    _, ended = look(watched, rows, errors, rollout=rollout, now=after(6))
    assert (ended.answer, ended.because) == ("stop", "worse by 5 labels")
    _, unknown = look(watched, rows, {}, rollout=rollout, now=after(6))
    assert (unknown.answer, unknown.because) == ("go_on", "no labels decided it in 6 days: no label has come")


Pair = namedtuple("Pair", "id confidences")


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
