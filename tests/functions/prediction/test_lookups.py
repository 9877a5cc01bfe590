"""What callers of the REST API look up: their own decisions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator

from millrace.contract.load import load_contract
from millrace.decisions.record import Decision, object_key, to_line
from millrace.names import WorkloadNames
from millrace.settings.prediction import DAYS, MOST_DAYS
from millrace.workload.load import load_workload
from millrace.workload.openapi import openapi
from tests.functions.cold_start import NAMES, Handler
from tests.functions.conftest import Aws
from tests.functions.prediction.conftest import SAMPLES
from tests.functions.prediction.test_callers import ARN, event, said
from tests.millrace.decisions.test_record import DECISION

OWN = WorkloadNames(platform=NAMES.platform, workload="income")
NOW = datetime.now(UTC)
DECIDED = replace(
    DECISION,
    id="order-1-0123456789abcdef-0",
    workload=OWN.workload,
    event_time=NOW - timedelta(days=3),
    key={"id": 7},
    action="review",
    reason="unsure",
    caller=ARN,
)


@pytest.fixture
def workload() -> str:
    return OWN.workload


@pytest.fixture
def keep(queue_url: str, aws: Aws) -> Callable[..., None]:
    """Put decisions into the lake, in an object of their own."""

    def put(*decisions: Decision) -> None:
        day, lines = decisions[0].event_time.date(), [to_line(one) for one in decisions]
        body = "".join(f"{line}\n" for line in lines)
        aws.put(f"s3://{NAMES.platform.bucket('lake')}/{object_key(OWN.workload, day, lines)}", body)

    return put


def asked(resource: str, **changes: Any) -> dict[str, Any]:
    return event(httpMethod="GET", resource=f"/{OWN.workload}/{resource}", headers={}, body=None, **changes)


def of(wanted: str = DECIDED.id, *, caller: str = ARN, **days: str) -> dict[str, Any]:
    found = asked("decisions/{id}", pathParameters={"id": wanted}, queryStringParameters=days or None)
    found["requestContext"]["identity"]["userArn"] = caller
    return found


def is_of(schema: str, document: object) -> bool:
    folder = SAMPLES / OWN.workload
    made = openapi(load_workload(folder), load_contract(folder))
    wanted = {"$ref": f"#/components/schemas/{schema}", "components": made["components"]}
    return bool(OAS30Validator(wanted).is_valid(document))


def test_a_caller_reads_his_own_decision(predict: Handler, keep: Callable[..., None]) -> None:
    keep(DECIDED, replace(DECIDED, id="other"))
    status, found = said(predict(of()))
    assert status == 200, found
    assert is_of("Decision", found)
    told = {"id": DECIDED.id, "key": {"id": 7}, "source": "api", "answered_by": None, "caller": ARN, **DECIDED.output}
    acted = {"model_version": "3", "action": "review", "reason": "unsure"}
    times = {"event_time": DECIDED.event_time, "inferred_at": DECIDED.inferred_at}
    assert {name: datetime.fromisoformat(found.pop(name)) for name in times} == times
    assert found == told | acted
    assert said(predict(of(caller=f"{ARN[:-1]}2")))[0] == 200, "another session of his role"


@pytest.mark.parametrize("caller", [None, "arn:aws:iam::123456789012:user/shop", f"{ARN.replace('shop', 'kiosk')}"])
def test_another_s_decision_is_as_one_that_there_is_not(
    predict: Handler, keep: Callable[..., None], caller: str | None
) -> None:
    keep(replace(DECIDED, caller=caller))
    hidden, unknown = said(predict(of())), said(predict(of("not-there")))
    assert (hidden[0], hidden[1].pop("came"), unknown[1].pop("came")) == (404, DECIDED.id, "not-there")
    assert hidden == unknown
    assert is_of("Error", {**hidden[1], "came": ""})
    assert "recorded" in hidden[1]["expected"]


@pytest.mark.parametrize("wanted", ["", "a b", '","x":"', "a" * 129])
def test_what_is_no_id_is_not_looked_for(predict: Handler, aws: Aws, wanted: str) -> None:
    aws.s3.delete_bucket(Bucket=NAMES.platform.bucket("lake"))  # to look would be a failure
    assert said(predict(of(wanted)))[0] == 404


def test_a_held_out_answer_stays_hidden(predict: Handler, keep: Callable[..., None]) -> None:
    keep(replace(DECIDED, reason="held_out"))
    found = said(predict(of()))[1]
    assert {found[name] for name in DECIDED.output} == {None}
    assert (found["reason"], is_of("Decision", found)) == ("held_out", True)


def test_the_days_of_the_search_are_the_last_ones_or_those_that_are_named(
    predict: Handler, keep: Callable[..., None]
) -> None:
    old = replace(DECIDED, event_time=NOW - timedelta(days=DAYS + 2))
    keep(old)
    day = old.event_time.date()
    assert said(predict(of()))[0] == 404
    assert said(predict(of(to=str(day))))[0] == 200
    assert said(predict(of(**{"from": str(day)})))[0] == 200
    later = str(day + timedelta(days=1))
    assert said(predict(of(**{"from": later, "to": later})))[0] == 404


@pytest.mark.parametrize(
    "days",
    [
        {"from": "1997-05-02", "to": "1997-05-01"},
        {"from": "1997-01-01", "to": "1998-01-02"},
        {"from": "1997-01-01"},
        {"from": "yesterday"},
        {"to": "1997-02-30"},
        {"to": "0001-01-01"},
    ],
)
def test_days_that_are_none_or_too_many_are_refused(predict: Handler, queue_url: str, days: dict[str, str]) -> None:
    status, refusal = said(predict(of(**days)))
    assert (status, refusal["where"], str(MOST_DAYS) in refusal["expected"]) == (400, "query", True)
    assert refusal["came"] == ", ".join(f"{name}: {day}" for name, day in days.items())


def test_what_callers_bring_is_a_file_of_their_own_that_may_come_again(predict: Handler, aws: Aws) -> None:
    def bring(feed: str, caller: str, **body: object) -> tuple[int, dict[str, Any]]:
        told = event(resource=f"/{OWN.workload}/{feed}", body=json.dumps({"rows": rows, **body}), headers={})
        told["requestContext"]["identity"]["userArn"] = caller
        return said(predict(told))

    rows: list[dict[str, object]] = [{"id": 1, "age": 10**30, "why": "ä\n"}, {}]
    status, first = bring("labels", ARN, id="day-1")
    assert (status, first["rows"], is_of("Drop", first)) == (202, 2, True)
    assert bring("labels", f"{ARN}0", id="day-1")[1] == first, "another session of his role"
    others = [bring("training", ARN, id="day-1"), bring("labels", ARN.replace("shop", "bar"), id="day-1")]
    others += [bring("labels", ARN), bring("labels", ARN)]
    assert len({said["drop"] for _, said in others} | {first["drop"]}) == 4, "without an id a call is its own"
    kept = aws.s3.get_object(Bucket=NAMES.platform.bucket("landing"), Key=f"{OWN.workload}/{first['drop']}")
    assert [json.loads(line) for line in kept["Body"].read().splitlines()] == rows
    assert kept["Metadata"] == {"by": f"{ARN}0"}
    assert bring("labels", ARN, explain=True)[1]["error"] == "no explanations"
