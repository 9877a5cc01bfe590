"""Requests of callers: each is answered once, and as many as the caller may send."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from millrace.state.answered_requests import ANSWER_S, AnsweredRequests, KeyedRequest
from millrace.state.callers import LEASE_S, CallerBuckets
from millrace.state.table import StateTable

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
REQUEST = KeyedRequest(caller="arn:ann", key="order-1", body="a" * 64)


def test_the_first_answer_is_the_answer(table: StateTable) -> None:
    answered = AnsweredRequests(table)
    assert answered.begin(REQUEST, NOW) == "begun"
    answered.finish(REQUEST, b"yes", NOW)
    assert answered.begin(REQUEST, NOW) == b"yes"
    assert answered.begin(replace(REQUEST, body="b" * 64), NOW) == "another body"


def test_a_key_belongs_to_its_caller(table: StateTable) -> None:
    answered, other = AnsweredRequests(table), replace(REQUEST, caller="arn:bob")
    answered.begin(REQUEST, NOW)
    assert answered.begin(other, NOW) == "begun"
    assert REQUEST.id != other.id


def test_one_copy_answers_and_another_one_goes_on_when_it_must_be_dead(table: StateTable) -> None:
    answered, later = AnsweredRequests(table), NOW + timedelta(seconds=ANSWER_S + 1)
    answered.begin(REQUEST, NOW)
    assert answered.begin(REQUEST, NOW + timedelta(seconds=ANSWER_S - 1)) == "under way"
    assert answered.begin(replace(REQUEST, body="b" * 64), later) == "another body"
    assert answered.begin(REQUEST, later) == "begun"
    assert answered.begin(REQUEST, later) == "under way"


def test_what_was_refused_may_be_asked_again_at_once(table: StateTable) -> None:
    answered = AnsweredRequests(table)
    answered.begin(REQUEST, NOW)
    answered.give_up(REQUEST, NOW)
    assert answered.begin(REQUEST, NOW) == "begun"


def test_a_key_that_is_free_again_decides_under_another_id() -> None:
    other = KeyedRequest(caller=REQUEST.caller, key=REQUEST.key, body="b" * 64)
    assert other.id == REQUEST.id
    assert other.call_id != REQUEST.call_id


ANN = "arn:aws:sts::123456789012:assumed-role/shop/ann"
START = 1_800_000_000.0


def through(buckets: CallerBuckets, times: list[float], caller: str = ANN) -> int:
    return sum(not buckets.take(caller, START + at) for at in times)


def test_a_burst_gets_through_and_then_what_flows_in(table: StateTable) -> None:
    buckets = CallerBuckets(table, requests_per_s=10, burst=20)
    assert through(buckets, [0.0] * 50) == 20
    assert buckets.take(ANN, START) == pytest.approx(0.1)
    assert through(buckets, [0.35] * 10) == 3
    assert through(buckets, [100.0] * 50) == 20, "no more than a full bucket is saved"


def test_all_sessions_of_a_role_share_a_bucket_and_other_callers_have_their_own(table: StateTable) -> None:
    buckets = CallerBuckets(table, requests_per_s=1, burst=2)
    assert through(buckets, [0.0] * 2) == 2
    assert through(buckets, [0.0], ANN.replace("/ann", "/bob")) == 0
    assert through(buckets, [0.0], ANN.replace("shop", "till")) == 1
    assert through(buckets, [0.0], "arn:aws:iam::123456789012:user/ann") == 1


@pytest.mark.parametrize(
    "copies", [*(pytest.param(some, marks=pytest.mark.night("by day the most copies")) for some in (1, 3)), 20]
)
def test_many_copies_let_through_no_more_than_the_bound_and_nearly_all_of_it(table: StateTable, copies: int) -> None:
    rate, burst, seconds = 50, 40, 10
    buckets = [CallerBuckets(table, requests_per_s=rate, burst=burst) for _ in range(copies)]
    chosen = random.Random(7)
    times = sorted(chosen.uniform(0, seconds) for _ in range(rate * seconds * 3))
    found = sum(not chosen.choice(buckets).take(ANN, START + at) for at in times)
    assert found <= burst + rate * (seconds + LEASE_S)
    assert found >= 0.8 * rate * seconds


def test_tokens_that_nobody_spends_in_time_are_void(table: StateTable) -> None:
    buckets = CallerBuckets(table, requests_per_s=100, burst=100)
    assert through(buckets, [0.0] * 30) == 30
    other = CallerBuckets(table, requests_per_s=100, burst=100)
    waiting = [0.0] * 300
    assert through(other, waiting) <= 70
    assert through(buckets, [LEASE_S + 0.01] * 300) + through(other, [LEASE_S + 0.01] * 300) <= 101
