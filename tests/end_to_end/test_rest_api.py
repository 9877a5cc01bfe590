"""The REST API of a workload, over HTTP with signatures: asked, refused, and found in the lake."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from openapi_schema_validator import OAS30Validator

from millrace.console.demo.electricity import STORY
from millrace.console.local_cloud.local_cloud import PLATFORM, LocalCloud, started
from millrace.contract.kinds import as_json
from millrace.contract.load import load_contract
from millrace.workload.load import load_workload
from millrace.workload.openapi import openapi
from tests.end_to_end.callers import Caller, create_caller, declare_api, recorded
from tests.end_to_end.conftest import REST_S, control

pytestmark = pytest.mark.night("by day the function and the local cloud's REST APIs are tested by themselves")

ROOT = Path(__file__).resolve().parents[2]
NAMES = STORY.names
HOME = ROOT / "workloads" / NAMES.workload
BURST = 40
PREDICTIONS = f"/{NAMES.workload}/predictions"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    folder = tmp_path_factory.mktemp("api")
    shutil.copytree(HOME, folder / "workloads" / NAMES.workload)
    declare_api(folder, callers={"requests_per_s": 1, "burst": BURST})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_WORKLOADS", str(folder / "workloads"))
        with started(folder / "build", clock=STORY.start, workloads=[NAMES.workload]) as cloud:
            yield cloud


@pytest.fixture(scope="module")
def caller(cloud: LocalCloud) -> Caller:
    return create_caller(cloud, NAMES)


def rows(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    found = pq.read_table(HOME / "sample" / "elec2.parquet").slice(first, count).drop_columns(["class"]).to_pylist()
    return [{name: as_json(cell) for name, cell in row.items()} for row in found]


def kept(cloud: LocalCloud) -> dict[str, Any]:
    """The decisions in the lake by their ids."""
    cloud.wait(timeout_s=REST_S)
    return {one.id: one for one in recorded(cloud, NAMES)}


def is_of(schema: str, said: object) -> bool:
    document = openapi(load_workload(HOME), load_contract(HOME))
    wanted = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    return bool(OAS30Validator(wanted).is_valid(said))


def test_a_request_is_answered_as_the_document_says_and_becomes_decisions(cloud: LocalCloud, caller: Caller) -> None:
    asked = [*rows(2), {"period": "early"}]
    status, headers, said = caller.send("POST", PREDICTIONS, {"id": "first", "rows": asked})
    assert status == 200, said
    assert headers["content-type"] == "application/json"
    assert is_of("Answer", said)
    ids = [one["id"] for one in said["predictions"]]
    assert [(one[:6], one[-2:]) for one in ids] == [("first-", "-0"), ("first-", "-1")]
    assert [one["row"] for one in said["rejected"]] == [2]
    found = kept(cloud)
    assert {json.loads(found[name].input)["timestamp"] for name in ids} == {row["timestamp"] for row in asked[:2]}


def test_a_caller_reads_his_decision_once_it_is_recorded(cloud: LocalCloud, caller: Caller) -> None:
    answered = caller.send("POST", PREDICTIONS, {"rows": rows(1, first=30)})[2]["predictions"][0]
    day = kept(cloud)[answered["id"]].event_time.date()
    status, _, said = caller.send("GET", f"/{NAMES.workload}/decisions/{answered['id']}?from={day}&to={day}")
    assert status == 200, said
    assert is_of("Decision", said)
    assert {name: said[name] for name in ("id", "value", "model_version")} == {
        name: answered[name] for name in ("id", "value", "model_version")
    }
    status, _, said = caller.send("GET", f"/{NAMES.workload}/decisions/not-there")
    assert (status, is_of("Error", said)) == (404, True)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"rows": 1}, 400, "BAD_REQUEST_BODY"),
        (b"{", 400, "BAD_REQUEST_BODY"),
        ({"rows": []}, 400, "number of rows"),
        ({"rows": [{}] * 1001}, 413, "number of rows"),
    ],
)
def test_api_gateway_and_the_function_refuse_in_one_form(caller: Caller, body: object, status: int, error: str) -> None:
    found, _, said = caller.send("POST", PREDICTIONS, body)
    assert (found, said["error"]) == (status, error)
    assert is_of("Error", said)


def test_a_repeated_request_has_one_answer_and_names_its_caller(cloud: LocalCloud, caller: Caller) -> None:
    asked = {"rows": rows(2, first=10)}
    first, again = (caller.send("POST", PREDICTIONS, asked, **{"Idempotency-Key": "order-1"}) for _ in range(2))
    assert (first[0], first[2]) == (again[0], again[2])
    other = caller.send("POST", PREDICTIONS, {"rows": rows(1)}, **{"Idempotency-Key": "order-1"})
    assert (other[0], is_of("Error", other[2])) == (422, True)
    ids = {one["id"] for one in first[2]["predictions"]}
    found = [
        one
        for one in kept(cloud).values()
        if json.loads(one.input)["timestamp"] in {row["timestamp"] for row in asked["rows"]} and one.id in ids
    ]
    assert len(found) == 2
    assert {one.caller for one in found} == {f"arn:aws:sts::{PLATFORM.account}:assumed-role/shop/till-1"}


def test_who_sends_too_much_is_told_when_to_come_again(caller: Caller) -> None:
    answers = [caller.send("POST", PREDICTIONS, {"rows": rows(1)}) for _ in range(BURST + 20)]
    refused = [(headers["retry-after"], is_of("Error", said)) for status, headers, said in answers if status == 429]
    assert refused
    assert set(refused) == {("1", True)}


def test_who_has_no_right_is_told_so_and_nothing_else_was_denied(cloud: LocalCloud, caller: Caller) -> None:
    cloud.client("iam").delete_role_policy(RoleName="shop", PolicyName="own")
    status, _, said = caller.send("POST", PREDICTIONS, {"rows": rows(1)})
    assert (status, said["error"]) == (403, "ACCESS_DENIED")
    assert is_of("Error", said)
    assert {one["action"] for one in control(cloud, "denials")} == {"execute-api:Invoke"}
    log = cloud.client("logs").filter_log_events(logGroupName=f"/aws/apigateway/{NAMES.prefix}")["events"]
    lines = [json.loads(event["message"]) for event in log]
    assert [line["caller"] for line in lines][-1].endswith("assumed-role/shop/till-1")
    assert [(line["status"], line["error"]) for line in lines][-1] == ("403", "ACCESS_DENIED")
