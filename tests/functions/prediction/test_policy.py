"""The prediction function of a workload with a policy: an action for each answer."""

from __future__ import annotations

import json
from typing import Any

import pyarrow.parquet as pq
import pytest

from millrace.decisions.record import from_line
from millrace.names import WorkloadNames
from millrace.state.automation import Automation
from millrace.state.table import StateTable
from millrace.timestamps import parse_utc
from tests.functions.cold_start import NAMES
from tests.functions.conftest import Aws
from tests.functions.prediction.conftest import SAMPLES, gone_live

OWN = WorkloadNames(platform=NAMES.platform, workload="income")


@pytest.fixture
def workload() -> str:
    return OWN.workload


@pytest.mark.parametrize(
    ("is_down", "is_paused", "acts"),
    [
        (False, False, ("review", "no_threshold")),
        (False, True, ("review", "paused")),
        (True, False, ("fallback", "no_model")),
        (True, True, ("review", "paused")),  # in a pause a fallback goes to a person
    ],
)
def test_nothing_acts_without_a_threshold_nor_while_it_is_paused(
    is_down: bool, is_paused: bool, acts: tuple[str, str], aws: Aws, predict: Any, endpoint: Any, decisions: Any
) -> None:
    gone_live(OWN, promised_error="0.05")
    if is_paused:
        switch = Automation(is_paused=True, reason="", by="ann", since=parse_utc("1997-06-01T06:00:00Z"))
        switch.put(StateTable(aws.dynamodb, OWN))
    if is_down:
        endpoint.status, endpoint.code = 424, "ModelError"
    (sample,) = (SAMPLES / OWN.workload / "sample").glob("*.parquet")
    rows = pq.read_table(sample).slice(0, 1).drop_columns(["income"]).to_pylist()
    (said,) = predict({"rows": json.loads(json.dumps(rows, default=str))})["predictions"]
    kept = from_line(decisions()[0])
    assert (said["action"], said["reason"]) == acts
    assert said["fallback"] is kept.fallback is is_down
    assert kept.has_policy is (acts[0] == "review")
    if kept.has_policy:
        assert (kept.action, kept.reason) == acts
