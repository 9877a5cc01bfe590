"""The prediction function of a workload with a policy: an action for each answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest

from millrace.decisions.record import from_line
from millrace.names import WorkloadNames
from millrace.state.automation import Automation
from millrace.state.pointers import Pointers, ReleasePointers, Version
from millrace.state.table import StateTable
from millrace.timestamps import parse_utc
from tests.functions.cold_start import NAMES, cold_starts
from tests.functions.prediction.conftest import SAMPLES

OWN = WorkloadNames(platform=NAMES.platform, workload="income")


@pytest.fixture
def workload() -> str:
    return "income"


@pytest.fixture
def state(queue_url: str) -> StateTable:
    return StateTable(boto3.client("dynamodb"), OWN)


def rows(count: int) -> list[dict[str, Any]]:
    (sample,) = (SAMPLES / "income" / "sample").glob("*.parquet")
    found = pq.read_table(sample).slice(0, count).drop_columns(["income"]).to_pylist()
    return [json.loads(json.dumps(row, default=str)) for row in found]


def release(state: StateTable, **found: str) -> None:
    live = Version(package_arn="a", version="3", model_name="m", run="r", baseline_uri="s3://b/b", **found)
    ReleasePointers(state).move(Pointers(champion=live))


def confidences(*values: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """An answer with these confidences, one after the other."""
    return lambda answer: (
        answer
        | {
            "predictions": [
                one | {"confidence": value} for one, value in zip(answer["predictions"], values, strict=True)
            ]
        }
    )


def test_nothing_acts_without_a_threshold_nor_while_it_is_paused(
    state: StateTable, queue_url: str, endpoint: Any
) -> None:
    release(state, promised_error="0.05")

    def reasons() -> set[tuple[str, str]]:
        with cold_starts() as start:
            found = start("prediction")({"rows": rows(2)})["predictions"]
        return {(one["action"], one["reason"]) for one in found}

    assert reasons() == {("review", "no_threshold")}
    Automation(is_paused=True, reason="", by="ann", since=parse_utc("1997-06-01T06:00:00Z")).put(state)
    assert reasons() == {("review", "paused")}


def test_a_fallback_stays_one(state: StateTable, predict: Any, endpoint: Any, decisions: Any) -> None:
    endpoint.status, endpoint.code = 424, "ModelError"
    (said,) = predict({"rows": rows(1)})["predictions"]
    assert (said["fallback"], said["action"], said["reason"]) == (True, "fallback", "no_model")
    assert not from_line(decisions()[0]).has_policy


def test_in_a_pause_a_fallback_goes_to_a_person(state: StateTable, predict: Any, endpoint: Any, decisions: Any) -> None:
    endpoint.status, endpoint.code = 424, "ModelError"
    Automation(is_paused=True, reason="", by="ann", since=parse_utc("1997-06-01T06:00:00Z")).put(state)
    (said,) = predict({"rows": rows(1)})["predictions"]
    assert (said["fallback"], said["action"], said["reason"]) == (True, "review", "paused")
    kept = from_line(decisions()[0])
    assert (kept.fallback, kept.action, kept.reason) == (True, "review", "paused")
