"""The prediction function of a workload that knows the past of its keys: a caller need not send it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from millrace.contract.load import load_contract
from millrace.decisions.record import from_line
from millrace.features import catalogue
from millrace.features.known_past import KeyedColumns
from millrace.names import WorkloadNames
from millrace.state.known_keys import RowsVersion, StoredKeys
from millrace.workload.load import load_workload
from tests.functions.cold_start import NAMES
from tests.functions.prediction.conftest import SAMPLES

OWN = WorkloadNames(platform=NAMES.platform, workload="air_quality")
NOON = datetime(2013, 1, 2, 12)  # noqa: DTZ001 as the contract has it
KNOWN_HOURS = 30
FOLDER = SAMPLES / "air_quality"
PAST = ("pm2.5", "DEWP", "TEMP", "PRES", "Iws")


@pytest.fixture
def workload() -> str:
    return "air_quality"


@pytest.fixture
def table(queue_url: str) -> StoredKeys:
    """The station's hours before NOON are known."""
    stored = StoredKeys(boto3.client("dynamodb"), OWN)
    keyed = keyed_of()
    hours = [NOON - timedelta(hours=back) for back in range(KNOWN_HOURS, 0, -1)]
    cells = {name: [hour_of(at)[name] for at in hours] for name in ("timestamp", *PAST)}
    version = RowsVersion(declared=keyed.digest, origin="t", place=1, snapshot_id=1, labels_id=0)
    assert stored.put(keyed.key_of({}), cells, version, now=datetime(2013, 1, 3, tzinfo=UTC))
    return stored


def keyed_of() -> KeyedColumns:
    workload = load_workload(FOLDER)
    declared = catalogue.declare(workload.prediction.features, load_contract(FOLDER).rows)
    found = KeyedColumns.of(workload, catalogue.histories(declared))
    assert found is not None
    return found


def hour_of(at: datetime) -> dict[str, Any]:
    """The cells of an hour; in one hour no dust was measured."""
    cells = {"DEWP": -3.0, "TEMP": at.hour / 7, "PRES": 1000.0 + at.hour, "Iws": 0.1 * at.hour}
    dust = None if at == NOON - timedelta(hours=5) else float(at.hour)
    return {"timestamp": at.isoformat(), "pm2.5": dust, **cells}


def row(at: datetime, **more: Any) -> dict[str, Any]:
    cells = {"pm2.5": 7.0, "DEWP": -3.0, "TEMP": 1.0, "PRES": 1020.0, "cbwd": "NW", "Iws": 2.0, "Is": 0, "Ir": 0}
    return {"timestamp": at.isoformat(), **cells, **more}


def sent(at: datetime, hours: int = 23) -> list[dict[str, Any]]:
    """The past as a caller sends it."""
    return [hour_of(at - timedelta(hours=back)) for back in range(hours, 0, -1)]


@pytest.fixture
def answers(endpoint: Any) -> None:
    endpoint.change = lambda answer: answer | {"predictions": [{"value": 8.5} for _ in answer["predictions"]]}


@pytest.mark.usefixtures("answers")
def test_the_endpoint_is_asked_the_same_with_and_without_the_past(
    table: StoredKeys, predict: Any, endpoint: Any, decisions: Any
) -> None:
    answer = predict({"rows": [row(NOON), row(NOON, history=sent(NOON)), row(NOON, history=None)]})
    assert (len(answer["predictions"]), answer["rejected"]) == (3, [])
    [asked] = endpoint.requests
    assert asked["rows"][0]["history"] == sent(NOON)
    assert asked["rows"][1] == asked["rows"][0] == asked["rows"][2]
    inputs = [json.loads(from_line(line).input) for line in decisions()]
    assert inputs[0] == inputs[1], "the decision has the past that it rests on"


@pytest.mark.usefixtures("answers")
def test_a_past_that_is_not_known_or_too_short_is_refused(table: StoredKeys, predict: Any, endpoint: Any) -> None:
    early, late = NOON - timedelta(hours=8), NOON + timedelta(hours=50)
    rows = [row(early), row(late), row(NOON, history=sent(NOON, 3)), row(NOON, history="x"), row(NOON)]
    answer = predict({"rows": [*rows, row(NOON) | {"timestamp": "soon"}]})
    assert [(one["row"], one["reason"], one["came"]) for one in answer["rejected"]] == [
        (0, "history", "22 rows that are known of its key"),
        (1, "history", "1 rows that are known of its key"),
        (2, "history", "3 rows"),
        (3, "type", "'x'"),
        (5, "type", "'soon'"),
    ]
    assert len(endpoint.requests[0]["rows"]) == 1


@pytest.mark.usefixtures("answers", "table")
def test_without_the_table_a_row_without_its_past_is_not_answered(predict: Any, endpoint: Any) -> None:
    """Nothing is answered with a past that may be wrong; a row that brings its own is."""
    boto3.client("dynamodb").delete_table(TableName=NAMES.platform.state_table)
    context = {"authorizer": {"iam": {"userArn": "arn:aws:iam::123456789012:user/shop"}}}
    refused = predict({"requestContext": context, "body": json.dumps({"rows": [row(NOON)]})})
    assert (refused["statusCode"], refused["headers"]["retry-after"]) == (503, "1")
    assert json.loads(refused["body"])["error"] == "no past"
    assert endpoint.requests == []
    assert len(predict({"rows": [row(NOON, history=sent(NOON))]})["predictions"]) == 1
