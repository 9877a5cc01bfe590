"""A request with a key is answered once, and by one copy of the function at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from millrace.state.answered_requests import ANSWER_S, AnsweredRequests, KeyedRequest
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
