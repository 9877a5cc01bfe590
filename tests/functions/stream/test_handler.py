"""The function of the stream: decisions by the record's id, refusals in dead letters, and nothing held up by either."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.circuit_breaker import base

from millrace.aws.queues import MESSAGE_BYTES
from millrace.decisions.record import from_line
from millrace.settings.environment import Environment
from tests.consumers import with_consumers
from tests.functions.cold_start import NAMES, Handler
from tests.functions.conftest import Aws
from tests.functions.prediction.conftest import decisions, endpoint, gone_live, queue_url, workload

__all__ = ["decisions", "endpoint", "queue_url", "workload"]
EVENTS = Path(__file__).resolve().parents[3] / "events"


@pytest.fixture
def dead_url(queue_url: str, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> str:
    url = str(aws.sqs.create_queue(QueueName=NAMES.queue("rows-dead"))["QueueUrl"])
    monkeypatch.setenv("MILLRACE_DEAD_LETTERS_URL", url)
    return url


@pytest.fixture
def handle(dead_url: str, load: Any) -> Handler:
    base._LOCAL_FAILURES.clear()
    handler: Handler = load("stream")
    return handler


@pytest.fixture
def letters(dead_url: str, aws: Aws) -> Callable[[], list[dict[str, Any]]]:
    def drain() -> list[dict[str, Any]]:
        found = aws.sqs.receive_message(QueueUrl=dead_url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(one["Body"]) for one in found]

    return drain


def event() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVENTS / "stream.json").read_text())
    return found


def row(record: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(record["kinesis"]["data"]))
    return found


def with_data(record: dict[str, Any], data: bytes, number: int = 7) -> dict[str, Any]:
    """The record with other data, under another sequence number."""
    text = str(number)
    kinesis = record["kinesis"] | {"data": base64.b64encode(data).decode(), "sequenceNumber": text}
    return record | {"kinesis": kinesis, "eventID": f"shardId-000000000003:{text}"}


def test_a_record_that_comes_again_in_another_batch_repeats_its_decision(handle: Handler, decisions: Any) -> None:
    given = event()
    handle(given)
    handle({"Records": given["Records"][1:]})
    once, again = [one for one in map(from_line, decisions()) if one.id == "order-4711-stream"]
    assert (once.id, once.input, once.event_time) == (again.id, again.input, again.event_time)


def test_a_column_of_any_length_is_a_dead_letter_that_fits(handle: Handler, decisions: Any, letters: Any) -> None:
    long = json.dumps({"\u00e9" * 200_000: 1}).encode()
    assert handle({"Records": [with_data(event()["Records"][0], long)]}) == {"batchItemFailures": []}
    (letter,) = letters()
    assert (len(letter["column"]), letter["sequence_number"], decisions()) == (200, "7", [])


def test_what_breaks_the_contract_is_a_dead_letter_and_the_others_are_decided(
    handle: Handler, decisions: Any, letters: Any
) -> None:
    first, own = event()["Records"]
    loud = json.dumps(row(first) | {"nswprice": 7}).encode()
    bad_id = json.dumps({"id": "a b", "row": row(first)}).encode()
    twice, number, binary = b'{"period": 1, "period": 2}', b"17", b"\xff\x00"
    bad = [with_data(first, data, place) for place, data in enumerate((loud, bad_id, twice, number, binary))]
    assert handle({"Records": [bad[0], first, *bad[1:], own]}) == {"batchItemFailures": []}
    assert [from_line(line).id for line in decisions()] == [
        "6-49590338271490256608559692538361571095921575989136588898",
        "order-4711-stream",
    ]
    found = {one["sequence_number"]: one for one in letters()}
    said = {name: (one["reason"], one["column"]) for name, one in found.items()}
    assert said == {
        "0": ("range", "nswprice"),
        "1": ("type", "id"),
        "2": ("json", ""),
        "3": ("json", ""),
        "4": ("json", ""),
    }
    assert (found["0"]["expected"], found["0"]["came"], found["0"]["shard"]) == ("<= 1", "7", "shardId-000000000003")
    assert json.loads(found["0"]["data"]) == json.loads(loud)
    assert found["4"]["data"] == "\\xff\x00"


def test_consumers_hear_which_records_have_no_answer_and_why(
    dead_url: str, aws: Aws, load: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Environment, "folder", with_consumers(tmp_path, {"told": {"to": "queue", "queue": "told"}}))
    url = aws.sqs.create_queue(QueueName=NAMES.queue("consumer-told"))["QueueUrl"]
    first = event()["Records"][0]
    odd = json.dumps({"id": "odd", "row": {"\ud800": 1}}).encode()
    load("stream")({"Records": [with_data(first, b"17"), first, with_data(first, odd, 8)]})
    (message,) = aws.sqs.receive_message(QueueUrl=url)["Messages"]
    told = {one["id"]: one for one in json.loads(message["Body"])["decisions"]}
    assert {(one["action"], one["reason"], one["source"]) for one in told.values()} == {
        ("unanswered", "refused", "stream")
    }
    assert told["3-7"]["because"] == "expected a row, or an id and a row, as one JSON object, got 17"
    assert told["odd-stream"]["because"].encode().startswith(b"\\ud800: expected")
    assert len(told) == 2


def test_a_record_that_is_larger_than_a_message_leaves_its_place(handle: Handler, letters: Any) -> None:
    handle({"Records": [with_data(event()["Records"][0], b'"' + b"x" * MESSAGE_BYTES + b'"')]})
    (letter,) = letters()
    assert (letter["reason"], letter["data"], letter["sequence_number"]) == ("json", None, "7")


def test_where_nobody_may_answer_all_come_again_and_none_is_decided(
    handle: Handler, endpoint: Any, decisions: Any, letters: Any
) -> None:
    """A version was live and its endpoint may not be called: a fault of the platform, not of a record."""
    gone_live()
    endpoint.status, endpoint.code = 403, "AccessDeniedException"
    given = event()
    broken = with_data(given["Records"][0], b"[]")
    first = given["Records"][0]["kinesis"]["sequenceNumber"]
    assert handle({"Records": [*given["Records"], broken]}) == {"batchItemFailures": [{"itemIdentifier": first}]}
    assert (decisions(), letters()) == ([], [])
