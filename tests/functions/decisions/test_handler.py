"""The decisions function, driven by a real SQS event."""

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from millrace.aws.objects import AT_ONCE
from millrace.decisions.record import from_line, to_line
from millrace.names import WorkloadNames
from millrace.state.reviews import ReviewQueue
from millrace.timestamps import parse_utc
from tests.functions.cold_start import NAMES, set_variables
from tests.functions.conftest import Aws

EVENT = Path(__file__).resolve().parents[3] / "events" / "decisions_queue.json"
Write = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def write(load: Any) -> Write:
    """The handler as Lambda calls it, beside moto's lake."""
    handler: Write = load("decisions")
    return handler


@pytest.fixture
def objects(aws: Aws) -> Callable[[], dict[str, list[str]]]:
    return lambda: {key: body.decode().splitlines() for key, body in aws.objects().items()}


def ids(lines: list[str]) -> list[str]:
    return [from_line(line).id for line in lines]


def test_one_object_per_event_date(write: Write, objects: Any) -> None:
    event = json.loads(EVENT.read_text())
    assert write(event) == {"batchItemFailures": []}
    found = objects()
    assert sorted(key.rpartition("/")[0] for key in found) == [
        "electricity/decisions/date=1997-01-02",
        "electricity/decisions/date=1997-01-03",
    ]
    sent = [line for record in event["Records"] for line in record["body"].split("\n")]
    assert sorted(name for lines in found.values() for name in ids(lines)) == sorted(ids(sent))


def test_a_second_delivery_changes_nothing(write: Write, objects: Any) -> None:
    event = json.loads(EVENT.read_text())
    write(event)
    before = objects()
    write({"Records": event["Records"][::-1]})
    assert {key: sorted(lines) for key, lines in objects().items()} == {
        key: sorted(lines) for key, lines in before.items()
    }


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ('"phase":"live"', '"phase":"lively"'),
        ('"phase":"live"', f'"phase":{"[" * 950}{"]" * 950}'),
        ('"phase":"live"', f'"phase":{"[" * 2000}'),
        ('"phase":"live"', '"phase":"live","watched":{"a":1' + "0" * 400 + "}"),
        ('"latency_ms":12.5', '"latency_ms":1' + "0" * 400),
        ('"eventId":"8f5', '"eventId":"\ud800'),
        ('"data":"{\\"day', '"data":"\\ud800{\\"day'),
        ('"inferenceTime":"2026-11-20T07:30:00.000000Z"', '"inferenceTime":"0001-01-01T00:00:00+14:00"'),
    ],
    ids=["word", "deep", "deeper", "large", "large-latency", "surrogate", "surrogate-input", "early"],
)
def test_a_bad_message_fails_alone(said: str, instead: str, write: Write, objects: Any) -> None:
    event = json.loads(EVENT.read_text())
    bad = event["Records"][0]
    assert said in bad["body"]
    bad["body"] = bad["body"].replace(said, instead)
    assert write(event) == {"batchItemFailures": [{"itemIdentifier": bad["messageId"]}]}
    kept = [name for lines in objects().values() for name in ids(lines)]
    assert sorted(kept) == sorted(ids(event["Records"][1]["body"].split("\n")))


def of_days(days: int) -> dict[str, Any]:
    """A batch whose decisions are about so many days, in four messages."""
    event = json.loads(EVENT.read_text())
    one, first = from_line(event["Records"][0]["body"].split("\n")[0]), datetime(1997, 1, 1, tzinfo=UTC)
    lines = [to_line(replace(one, id=f"d-{day}", event_time=first + timedelta(days=day))) for day in range(days)]
    bodies = ["\n".join(lines[start::4]) for start in range(4)]
    return {"Records": [{"messageId": f"m-{number}", "body": body} for number, body in enumerate(bodies)]}


def test_a_thousand_days_are_written_some_at_a_time(write: Write, objects: Any) -> None:
    """One after the other they would take longer than the function has, on every delivery."""
    together = threading.Barrier(AT_ONCE, timeout=20)
    client = sys.modules["millrace.functions.decisions.handler"].S3

    def meet(**_: Any) -> None:
        together.wait()

    client.meta.events.register("before-call.s3.PutObject", meet)
    assert write(of_days(1000)) == {"batchItemFailures": []}
    assert len([line for lines in objects().values() for line in lines]) == 1000


def test_a_day_that_cannot_be_written_brings_the_batch_again(write: Write) -> None:
    client = sys.modules["millrace.functions.decisions.handler"].S3

    def refuse(model: Any, params: dict[str, Any], **_: Any) -> None:
        if "1997-01-07" in params["url_path"]:
            raise OSError("no way to S3")

    client.meta.events.register("before-call.s3.PutObject", refuse)
    with pytest.raises(OSError, match="no way"):
        write(of_days(12))


def test_decisions_for_a_person_are_opened_at_the_time_of_their_message(aws: Aws, load: Any, monkeypatch: Any) -> None:
    """Of a workload with a policy; once."""
    own = WorkloadNames(platform=NAMES.platform, workload="income")
    set_variables(monkeypatch, names=own)
    event, handler = json.loads(EVENT.read_text()), load("decisions")
    (record,) = event["Records"] = event["Records"][:1]
    known = from_line(record["body"].split("\n")[0])
    # An input that only looks like an action is none.
    odd = replace(known, id="d-0", input='{"note":"\\"action\\":\\"review\\""}', action="automated", reason="sure")
    found = [replace(known, id=f"d-{n}", action="review", reason=why) for n, why in ((1, "unsure"), (2, "held_out"))]
    record["body"] = "\n".join(map(to_line, [odd, *found]))
    for _ in range(2):
        assert handler(event) == {"batchItemFailures": []}
    opened_at = parse_utc("2026-11-20T07:30:00Z")
    unsure, held_out = ReviewQueue(aws.dynamodb, own).waiting(most=9, now=opened_at)
    assert (unsure.id, unsure.output, unsure.confidence) == ("d-1", known.output, 0.75)
    assert (held_out.id, held_out.output, held_out.is_blind) == ("d-2", None, True)
    assert (unsure.opened_at, unsure.input) == (opened_at, known.input)
    assert unsure.expires_at == opened_at + timedelta(hours=72)
