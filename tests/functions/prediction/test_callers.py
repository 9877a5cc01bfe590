"""Who asks over HTTP: named in each decision, answered once for a key, and refused beyond what he may send."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from millrace.decisions.record import from_line
from millrace.functions.prediction.request import KeyedRequest
from tests.functions.cold_start import NAMES, Handler
from tests.functions.prediction.conftest import gone_live

EVENTS = Path(__file__).resolve().parents[3] / "events"
ARN = "arn:aws:sts::123456789012:assumed-role/shop/till-1"


def event(name: str = "prediction_rest", **changes: Any) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text()) | changes


def keyed(key: str, **changes: Any) -> dict[str, Any]:
    return event(headers={"idempotency-key": key}, **changes)


def said(answer: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return answer["statusCode"], json.loads(answer["body"])


@pytest.mark.parametrize(
    ("name", "caller"),
    [
        ("prediction_rest", ARN),
        ("prediction_http", "arn:aws:sts::123456789012:assumed-role/caller/caller"),
        ("prediction", None),
    ],
)
def test_each_decision_names_its_caller(
    name: str, caller: str | None, predict: Handler, decisions: Callable[[], list[str]]
) -> None:
    predict(event(name))
    assert {from_line(line).caller for line in decisions()} == {caller}


def test_a_key_gives_the_same_answer_and_the_same_decisions(
    predict: Handler, endpoint: Any, decisions: Callable[[], list[str]]
) -> None:
    status, first = said(predict(event()))
    assert status == 200
    endpoint.change = lambda answer: answer | {"model_version": "4"}
    assert said(predict(event())) == (200, first)
    assert len(decisions()) == 1
    assert said(predict(keyed("order-4712")))[1]["predictions"][0]["model_version"] == "4"


@pytest.mark.parametrize("asked", [{}, {"resource": "/electricity/jobs"}])
@pytest.mark.parametrize("identity", [{"userArn": None}, {"userArn": ""}, None, "x"])
def test_nobody_is_answered_over_http_without_a_caller(
    asked: dict[str, str], identity: object, predict: Handler, decisions: Callable[[], list[str]]
) -> None:
    told = event(**asked)
    told["requestContext"]["identity"] = identity
    status, refusal = said(predict(told))
    assert (status, refusal["error"]) == (403, "no caller")
    assert decisions() == []


@pytest.mark.parametrize(
    "odd", [{"pathParameters": [1]}, {"pathParameters": {"id": "a b"}, "queryStringParameters": 1}]
)
def test_an_event_that_no_gateway_sends_is_no_request(odd: dict[str, Any], predict: Handler) -> None:
    told = event(**odd, resource="/electricity/decisions/{id}")
    told["requestContext"]["authorizer"] = "x"
    assert said(predict(told))[0] == 404


def ids(predict: Handler, name: str, *, caller: str | None = None, **body: Any) -> list[str]:
    """The ids of the decisions that the caller makes with a request of this id."""
    told = event(name, headers={})
    if caller:
        told["requestContext"]["identity"]["userArn"] = caller
    rows = json.loads(event()["body"])["rows"]
    answer = predict(told | {"body": json.dumps({"id": "order-1", "rows": rows, **body})})
    return [one["id"] for one in said(answer)[1]["predictions"]]


def test_an_id_is_its_caller_s_own(predict: Handler) -> None:
    """Nobody replaces the decisions of another caller, of a direct call, or of a file by an id that he knows."""
    first, second = ids(predict, "prediction_rest"), ids(predict, "prediction_http")
    assert len({*first, *second}) == len(first) + len(second)
    assert all(one.startswith("order-1-") for one in first)
    assert ids(predict, "prediction_rest") == first, "he repeats his own"
    assert ids(predict, "prediction_rest", caller=f"{ARN[:-1]}2") == first, "so does another session of the role"
    taken = first[0].rpartition("-")[0]
    direct = predict({"id": taken, "rows": event("prediction")["rows"]})["predictions"][0]["id"]
    assert direct not in first
    known = (taken, "9f86" * 16, direct.rpartition("-")[0])
    made = [one for name in known for one in ids(predict, "prediction_http", id=name)]
    assert not {*made} & {*first, direct, *(f"{name}-{row}" for name in known for row in range(99))}


def test_a_key_that_is_free_again_decides_under_another_id() -> None:
    first, other = (KeyedRequest(caller=ARN, key="order-1", body=body) for body in "ab")
    assert (other.id == first.id, other.call_id == first.call_id) == (True, False)


def test_a_key_with_another_body_is_refused(predict: Handler, decisions: Callable[[], list[str]]) -> None:
    predict(event())
    body = json.loads(event()["body"])
    body["rows"][0]["period"] = 0.5
    status, refusal = said(predict(event(body=json.dumps(body))))
    assert (status, refusal["where"]) == (422, "header Idempotency-Key")
    assert len(decisions()) == 1


@pytest.mark.parametrize("key", ["", "a b", "é", "k" * 256])
def test_a_key_of_another_form_is_refused(key: str, predict: Handler) -> None:
    assert said(predict(keyed(key)))[0] == 400


def test_a_second_request_with_the_key_waits_for_the_first(predict: Handler, endpoint: Any) -> None:
    found = []

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        if not found:
            found.append(predict(event()))
        return answer

    endpoint.change = change
    assert said(predict(event()))[0] == 200
    assert (found[0]["statusCode"], found[0]["headers"]["retry-after"]) == (409, "1")


def test_it_goes_on_when_the_first_must_be_over(predict: Handler) -> None:
    over = SimpleNamespace(get_remaining_time_in_millis=lambda: -1_000)
    gate, asked = sys.modules["millrace.functions.prediction.handler"].GATE, KeyedRequest(caller=ARN, key="k", body="a")
    assert gate.once(asked, over, lambda: gate.once(asked, over, lambda: {"answer": 1})) == {"answer": 1}


def test_a_refusal_is_not_kept(predict: Handler, endpoint: Any) -> None:
    gone_live()
    endpoint.status, endpoint.code = 400, "ValidationError"
    assert said(predict(event()))[0] == 503
    endpoint.status, endpoint.code = 200, ""
    assert said(predict(event()))[0] == 200


def test_an_answer_that_cannot_be_kept_makes_no_decision(
    predict: Handler, endpoint: Any, decisions: Callable[[], list[str]]
) -> None:
    # Too far apart for the compression to see that they are equal.
    endpoint.change = lambda answer: answer | {"model_version": random.Random(7).randbytes(100_000).hex()}
    body = json.dumps({"rows": json.loads(event()["body"])["rows"] * 5})
    status, refusal = said(predict(event(body=body)))
    assert (status, refusal["error"]) == (413, "size of the answer")
    assert decisions() == []
    assert said(predict(event(body=body, headers={})))[0] == 200


@pytest.fixture
def limited(queue_url: str, load: Any, monkeypatch: pytest.MonkeyPatch) -> Handler:
    """A function that takes two requests of a caller at once, and one in a second."""
    monkeypatch.setenv("MILLRACE_CALLER_REQUESTS_PER_S", "1")
    monkeypatch.setenv("MILLRACE_CALLER_BURST", "2")
    handler: Handler = load("prediction")
    return handler


def test_who_sends_too_much_is_told_when_to_come_again(limited: Handler, decisions: Callable[[], list[str]]) -> None:
    answers = [limited(event(headers={})) for _ in range(20)]
    statuses = [answer["statusCode"] for answer in answers]
    assert statuses[:2] == [200, 200]
    assert statuses.count(429) >= 15, "a second or two may pass meanwhile"
    assert {answer["headers"]["retry-after"] for answer in answers if answer["statusCode"] == 429} == {"1"}
    assert len(decisions()) == statuses.count(200)
    assert limited(event("prediction_http"))["statusCode"] == 200, "another caller"
    assert limited(event("prediction"))["predictions"], "a call by Lambda's own API has no caller to count"


def test_nobody_is_refused_because_nothing_is_counted(limited: Handler, monkeypatch: pytest.MonkeyPatch) -> None:
    boto3.client("dynamodb").delete_table(TableName=NAMES.platform.state_table)
    assert [limited(event(headers={}))["statusCode"] for _ in range(4)] == [200] * 4
    assert said(limited(event()))[0] == 503, "but a key promises what only the table can keep"
