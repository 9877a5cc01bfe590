"""The prediction function, driven by real requests."""

import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from millrace.decisions.record import from_line
from millrace.decisions.store import read_lines
from tests.functions.prediction.conftest import gone_live

EVENTS = Path(__file__).resolve().parents[3] / "events"
Predict = Callable[[dict[str, Any]], dict[str, Any]]


def request(name: str = "prediction") -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())


def test_answers_every_row_and_writes_its_decision(predict: Predict, endpoint: Any, decisions: Any) -> None:
    event = request()
    answer = predict(event)
    assert answer["rejected"] == []
    first = answer["predictions"][0]
    assert first == {
        "id": "8f507cfc-1d2d-4a1d-9a4f-0d2a4c2f6c1b-0",
        "row": 0,
        "value": 1,
        "probability": 0.75,
        "confidence": 0.75,
        "model_version": "3",
        "phase": "live",
        "fallback": False,
    }
    written = [from_line(line) for line in decisions()]
    assert [decision.id for decision in written] == [found["id"] for found in answer["predictions"]]
    assert [json.loads(decision.input) for decision in written] == event["rows"]
    assert written[0].key == {"timestamp": "1997-01-02T00:00:00"}
    assert written[0].event_time.isoformat() == "1997-01-02T00:00:00+00:00"
    assert set(endpoint.requests[0]["rows"][0]) == {
        "day_of_week", "period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer",
    }  # fmt: skip


def test_bad_rows_are_rejected_with_reasons_and_good_ones_answered(predict: Predict, decisions: Any) -> None:
    event = request()
    event["rows"][1]["nswprice"] = 7
    del event["rows"][3]["transfer"]
    event["rows"][5]["colour"] = "red"
    answer = predict(event)
    assert [(found["row"], found["reason"], found["column"]) for found in answer["rejected"]] == [
        (1, "range", "nswprice"),
        (3, "required", "transfer"),
        (5, "unknown_field", "colour"),
    ]
    assert answer["rejected"][0] == {
        "row": 1, "reason": "range", "column": "nswprice", "expected": "<= 1", "came": "7",
    }  # fmt: skip
    assert [found["row"] for found in answer["predictions"]] == [row for row in range(48) if row not in (1, 3, 5)]
    assert len(decisions()) == 45


def test_a_value_outside_of_a_list_is_answered_with_a_warning(predict: Predict, decisions: Any) -> None:
    event = request()
    event["rows"][2]["day_of_week"] = 7
    answer = predict(event)
    assert (len(answer["predictions"]), answer["rejected"], len(decisions())) == (48, [], 48)
    [warning] = answer["warnings"]
    assert (warning["row"], warning["reason"], warning["column"], warning["came"]) == (2, "allowed", "day_of_week", "7")
    assert "warnings" not in predict(request())


def test_half_a_surrogate_pair_comes_back_as_text(predict: Predict) -> None:
    """The caller's own word for a column, which no UTF-8 holds."""
    event = request()
    event["rows"][1]["\ud800"] = 1
    answer = predict(event)
    assert [(found["row"], found["column"]) for found in answer["rejected"]] == [(1, "\\ud800")]
    assert json.dumps(answer, ensure_ascii=False).encode()


def test_only_bad_rows_ask_no_endpoint_and_ring(
    predict: Predict, endpoint: Any, decisions: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict({"rows": [{"timestamp": 3}]})["predictions"] == []
    assert endpoint.requests == []
    assert decisions() == []
    assert '"RefusedCalls":[1.0]' in capsys.readouterr().out
    predict({"rows": [{"timestamp": 3}, *request()["rows"]]})
    assert "RefusedCalls" not in capsys.readouterr().out, "a row was taken"


Fault = dict[str, Any]
"""What the endpoint is changed to."""
MISSING: Fault = {"status": 400, "code": "ValidationError"}
DENIED: Fault = {"status": 403, "code": "AccessDeniedException"}
BROKEN: Fault = {"status": 424, "code": "ModelError", "original": 500}
REFUSED: Fault = {**BROKEN, "original": 400}
NO_ANSWERS: list[Callable[[dict[str, Any]], Any]] = [
    lambda answer: {**answer, "predictions": answer["predictions"][1:]},
    lambda answer: {**answer, "predictions": [{"value": 1}] * len(answer["predictions"])},
    lambda _: "ok",
]


@pytest.mark.parametrize(
    ("fault", "is_live"),
    [(MISSING, False), (DENIED, False), (BROKEN, True), *(({"change": change}, True) for change in NO_ANSWERS)],
)
def test_before_a_model_was_live_or_for_a_model_that_fails_the_fallback_answers(
    fault: Fault,
    is_live: bool,
    predict: Predict,
    endpoint: Any,
    decisions: Any,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    if is_live:
        gone_live()
    vars(endpoint).update(fault)
    found = predict(request())["predictions"]
    assert len(found) == 48
    assert found[0] == found[0] | {
        "fallback": True, "value": None, "probability": None, "confidence": None, "model_version": None,
    }  # fmt: skip
    assert [from_line(line).fallback for line in decisions()] == [True] * 48
    assert [one.message for one in caplog.records if one.levelname == "ERROR"] == ["the endpoint gave no answer"]
    published = json.loads(capsys.readouterr().out)
    assert published["Fallbacks"] == [48.0]
    assert published["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Workload"]]


@pytest.mark.parametrize(
    ("calls", "asked"),
    [
        ([(BROKEN, 8)], 5),
        ([(REFUSED, 8)], 8),  # a container that refuses requests is not down
        ([(BROKEN, 4), (REFUSED, 1), (BROKEN, 4)], 9),  # these are not five in a row
        ([(BROKEN, 4), (REFUSED, 1), (BROKEN, 6)], 10),
    ],
)
def test_a_failing_endpoint_is_left_alone_after_five_calls(
    calls: list[tuple[Fault, int]], asked: int, predict: Predict, endpoint: Any
) -> None:
    for fault, number in calls:
        vars(endpoint).update(fault)
        for _ in range(number):
            assert predict({"rows": request()["rows"][:1]})["predictions"][0]["fallback"]
    assert len(endpoint.requests) == asked


def test_a_row_that_the_live_version_does_not_take_is_rejected_beside_the_others(
    predict: Predict, endpoint: Any, decisions: Any
) -> None:
    """The contract of today lets a cell be missing, and the version was trained when it did not."""
    reason = {"column": "transfer", "expected": "a finite number of float32", "came": "null"}

    def second_rejected(answer: dict[str, Any]) -> dict[str, Any]:
        answer["predictions"][1] = {"rejected": reason}
        return answer

    endpoint.change = second_rejected
    answer = predict({"rows": request()["rows"][:3]})
    assert answer["rejected"] == [{"row": 1, "reason": "model", **reason}]
    assert [(one["row"], one["fallback"]) for one in answer["predictions"]] == [(0, False), (2, False)]
    assert len(decisions()) == 2


@pytest.mark.parametrize("fault", [MISSING, DENIED])
def test_once_a_model_was_live_what_is_configured_wrong_is_a_503(
    fault: Fault, predict: Predict, endpoint: Any, decisions: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """No time makes it well, so no circuit opens: each call asks again, and is served as soon as it is mended."""
    gone_live()
    healthy = (endpoint.status, endpoint.code)
    vars(endpoint).update(fault)
    event = request("prediction_http")
    for _ in range(6):
        answer = predict(event)
        assert (answer["statusCode"], json.loads(answer["body"])["error"]) == (503, "no model")
    assert len(endpoint.requests) == 6
    assert decisions() == []
    published = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["Unavailable"][0] for one in published} == {float(len(json.loads(event["body"])["rows"]))}
    assert predict({"rows": request()["rows"][:1]})["where"] == "endpoint"
    endpoint.status, endpoint.code = healthy
    assert predict(event)["statusCode"] == 200


def test_what_cannot_be_kept_is_not_answered(predict: Predict, queue_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    boto3.client("sqs").delete_queue(QueueUrl=queue_url)
    with pytest.raises(Exception, match=r"NonExistentQueue|does not exist"):
        predict(request())


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({}, "no rows"),
        ({"rows": []}, "number of rows"),
        ({"rows": [{}] * 1001}, "number of rows"),
        ({"rows": [1]}, "a row is no object"),
    ],
)
def test_what_is_no_request_is_told_so(payload: dict[str, Any], error: str, predict: Predict, decisions: Any) -> None:
    answer = predict(payload)
    assert answer["error"] == error
    assert {"expected", "came", "where"} <= set(answer)
    assert decisions() == []


def test_a_request_that_is_repeated_with_its_id_is_decided_once(predict: Predict, decisions: Any) -> None:
    """SQS's answer is lost, so the caller has an error though the decisions are on the queue."""
    client, sent = sys.modules["millrace.functions.prediction.handler"].ROAD.sqs, itertools.count()

    def lose_the_first(**_: Any) -> None:
        if next(sent) == 0:
            raise OSError("no way from SQS")

    event = {"rows": request()["rows"], "id": "order-4711"}
    client.meta.events.register("after-call.sqs.SendMessageBatch", lose_the_first)
    with pytest.raises(OSError, match="no way"):
        predict(event)
    assert len(predict(event)["predictions"]) == 48
    lines = decisions()
    assert len(lines) == 96
    ids = [one.id for one in read_lines(line.encode() for line in lines).decisions]
    assert sorted(ids) == sorted(f"order-4711-38d3fc49fbb1b02d-{row}" for row in range(48))


@pytest.mark.parametrize("given", ["", "a b", "ä", "a" * 65, "a\n", 7, ["a"]], ids=str)
def test_an_id_that_is_none_is_told(given: object, predict: Predict, decisions: Any) -> None:
    answer = predict({"rows": request()["rows"][:1], "id": given})
    assert (answer["error"], answer["where"]) == ("id", "id")
    assert decisions() == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"body": "{"}, 400),
        ({"body": '{"rows": [], "rows": []}'}, 400),
        ({"body": '{"rows": [{"a": NaN}]}'}, 400),
        ({"body": "[" * 100_000}, 400),
        ({"body": "\ud800"}, 400),
        ({"body": "=", "isBase64Encoded": True}, 400),
        ({"body": json.dumps({"rows": [{}] * 1001})}, 413),
    ],
)
def test_http_says_what_is_wrong(change: dict[str, Any], status: int, predict: Predict) -> None:
    answer = predict(request("prediction_http") | change)
    assert answer["statusCode"] == status
    assert set(json.loads(answer["body"])) == {"error", "expected", "came", "where"}
