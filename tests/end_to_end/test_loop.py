"""What the fourteen months must have shown, read from the live cloud and not from our own words about it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.loop import API_CALLS
from millrace.console.demo.electricity import CANARY_DAYS
from millrace.console.demo.months import ROWS_A_DAY, SAMPLE, file_to_score, months
from millrace.console.queries.executions import Execution
from millrace.console.queries.runs import executions
from millrace.decisions.record import Decision
from millrace.decisions.store import read_days
from millrace.timestamps import parse_utc
from millrace.workload.load import load_workload
from tests.end_to_end.conftest import Lived, control

WORKLOAD = load_workload(Path(__file__).resolve().parents[2] / "workloads" / "electricity")
HISTORY, LIVE = months(SAMPLE, "1996-05", "1996-12"), months(SAMPLE, "1997-01", "1997-06")
COOL_DOWN = timedelta(days=WORKLOAD.retraining.cool_down_days)
CALLS = 12 + CANARY_DAYS * ROWS_A_DAY
"""Requests for predictions: one of half a month, and in the canary one of a half hour."""
READING = ("Get", "List", "Describe", "Head", "Scan", "Query")
WITNESSING = ("sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:DeleteMessageBatch")
"""What the tests' own witness calls meanwhile."""


@pytest.fixture(scope="module")
def happened(lived: Lived) -> list[Execution]:
    return executions(lived.cloud.client("stepfunctions"), lived.names)


def of(happened: list[Execution], machine: str) -> list[Execution]:
    return [execution for execution in happened if execution.machine == machine]


def test_every_execution_succeeded(happened: list[Execution]) -> None:
    assert len({execution.machine for execution in happened}) == 7, "all but queries"
    assert [(execution.name, execution.status) for execution in happened if execution.status != "SUCCEEDED"] == []


def test_quiet_months_are_quiet(lived: Lived, happened: list[Execution]) -> None:
    quiet = [run for run in of(happened, "monitor") if run.started < datetime.fromisoformat("1997-05-02T00:00:00Z")]
    ratios = [run.answer("publish_metrics")["ratios"]["input-drift"] for run in quiet]
    assert len(quiet) == 8
    assert sum(run.answer("publish_metrics")["judged"] for run in quiet) >= 17
    assert all(0 < ratio <= 1 for ratio in ratios), ratios
    early = [
        (event["time"], str(event["detail"]))
        for event in lived.witness.told("CloudWatch Alarm State Change")
        if event["detail"]["state"]["value"] == "ALARM" and event["time"] < "1997-05-02"
    ]
    assert early == []


def test_the_alarm_of_may_is_evaluated_and_starts_the_retraining(lived: Lived, happened: list[Execution]) -> None:
    alarms = lived.cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]
    states = {alarm["AlarmName"]: (alarm["StateValue"], alarm["StateReason"]) for alarm in alarms}
    value, reason = states[lived.names.alarm("input-drift")]
    assert value == "ALARM"
    assert reason.startswith("Threshold Crossed")
    assert control(lived.cloud, "api-calls")["by_operation"].get("cloudwatch:SetAlarmState", 0) == 0

    rang = [
        event
        for event in lived.witness.told("CloudWatch Alarm State Change")
        if event["detail"]["state"]["value"] == "ALARM"
    ]
    assert [event["detail"]["alarmName"] for event in rang] == [lived.names.alarm("input-drift")]
    assert rang[0]["time"].startswith("1997-05-15")
    evaluated = json.loads(rang[0]["detail"]["state"]["reasonData"])["evaluatedDatapoints"]
    assert [point["value"] > 1 for point in evaluated] == [True]
    started = [run for run in of(happened, "retrain") if run.input["cause"] == rang[0]["id"]]
    assert [run.input["detail"] for run in started] == [rang[0]["detail"]]
    assert started[0] == of(happened, "retrain")[0]
    assert started[0].answer("guard")["accepted"]


def test_version_2_follows_version_1(lived: Lived) -> None:
    released = [event["detail"] for event in lived.witness.told("model.released")]
    assert [(event["version"], event["previous_version"]) for event in released] == [("1", "none"), ("2", "1")]
    state = lived.cloud.client("dynamodb").get_item(
        TableName=lived.names.platform.state_table,
        Key={"pk": {"S": "electricity"}, "sk": {"S": "release"}},
        ConsistentRead=True,
    )["Item"]
    assert state["champion"]["M"]["version"]["S"] == "2"
    assert state["previous"]["M"]["version"]["S"] == "1"
    assert "challenger" not in state
    endpoints = lived.cloud.client("sagemaker").list_endpoints()["Endpoints"]
    assert [(one["EndpointName"], one["EndpointStatus"]) for one in endpoints] == [(lived.names.endpoint, "InService")]


def audit(lived: Lived, event: str) -> list[dict[str, Any]]:
    items = lived.cloud.client("dynamodb").query(
        TableName=lived.names.platform.audit_table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "electricity"}},
    )["Items"]
    return [json.loads(item["details"]["S"]) for item in items if item["event"]["S"] == event]


def test_refusals_are_recorded_with_their_earliest_next_time(lived: Lived) -> None:
    accepted = [parse_utc(found["evidence"]["as_of"]) for found in audit(lived, "retrain.accepted")]
    refused = audit(lived, "retrain.refused")
    assert len(accepted) == 2
    assert [found["trigger"] for found in refused] == ["alarm", "alarm", "schedule"]
    for found in refused:
        at = parse_utc(found["evidence"]["as_of"])
        last = max(start for start in accepted if start <= at)
        assert found["reason"] == "cool_down"
        assert at < parse_utc(found["earliest_next"]) == last + COOL_DOWN
    told = [event["detail"] for event in lived.witness.told("retrain.refused")]
    assert [(one["earliest_next"], one["evidence"]) for one in told] == [
        (one["earliest_next"], one["evidence"]) for one in refused
    ]


def test_the_schedule_starts_the_same_machine(lived: Lived, happened: list[Execution]) -> None:
    last = of(happened, "retrain")[-1]
    assert last.input["detail"]["schedule"] == "retrain"
    assert last.input["as_of"] == "1997-07-01T07:00:00Z"
    assert last.answer("guard")["trigger"] == "schedule"


def test_a_file_is_scored_once_in_order(lived: Lived, happened: list[Execution]) -> None:
    """336 rows came: 335 are delivered in one file, as they stood, and one is kept with its reason."""
    (run,) = of(happened, "score")
    (event,) = lived.witness.told("scores.delivered")
    assert event["detail"]["uri"] == run.answer("delivery")["drops"][0]["uri"]
    assert lived.below("predictions/") == [event["detail"]["uri"]]
    lines = file_to_score(LIVE[0]).decode().splitlines()
    good = [number for number in range(2, len(lines) + 1) if number != 102]
    delivered = lived.parquet(event["detail"]["uri"]).to_pylist()
    assert [row["row_number"] for row in delivered] == good
    assert [row["timestamp"].isoformat() for row in delivered] == [lines[at - 1].split(",")[0] for at in good]
    assert {row["model_version"] for row in delivered} == {"1"}
    assert all(row["value"] == int(row["probability"] >= 0.5) for row in delivered)
    assert len(delivered) == 335
    (refused,) = lived.quarantine(run.name)
    assert (refused["line"], refused["column_name"], refused["got"]) == (102, "nswdemand", "17.5")


def test_each_row_of_the_scored_file_is_a_decision_that_the_monitor_judged(
    lived: Lived, happened: list[Execution]
) -> None:
    """The week was also asked for row by row, so its window has both."""
    (run,) = of(happened, "score")
    s3, bucket = lived.cloud.client("s3"), lived.names.platform.bucket("lake")
    days = [date(1997, 1, day) for day in range(1, 8)]
    found = [one for one in read_days(s3, bucket, lived.names.workload, days).decisions if one.source == "batch"]
    assert [one.id for one in found] == [f"{run.name}-{line}" for line in range(2, 338) if line != 102]
    report = lived.read(f"{of(happened, 'monitor')[0].answer('plan_windows')['report_uri']}/report.json")
    assert json.loads(report)["windows"][0]["decisions"] == 336 + 335


def test_no_row_is_lost(lived: Lived) -> None:
    """Rows in = accepted + quarantined, for every drop; the events and the files say the same."""
    came = {f"training/{month.name}.parquet": month.rows.num_rows for month in HISTORY}
    came |= {f"labels/{month.name}.csv": month.rows.num_rows for month in LIVE}
    told = {event["detail"]["source"].partition("?")[0].partition("electricity/")[2]: event["detail"]
            for event in lived.witness.told("dataset.committed")}  # fmt: skip
    assert {name: one["rows_accepted"] + one["rows_quarantined"] for name, one in told.items()} == came
    assert {name: one["rows_quarantined"] for name, one in told.items() if one["rows_quarantined"]} == {
        "labels/1997-05.csv": 48
    }
    for feed, table in (("training", "rows"), ("labels", "labels")):
        totals = [one["rows_total"] for one in told.values() if one["feed"] == feed]
        assert max(totals) == sum(one["rows_accepted"] for one in told.values() if one["table"].endswith(table))


@pytest.fixture(scope="module")
def decisions(lived: Lived) -> list[Decision]:
    s3, bucket = lived.cloud.client("s3"), lived.names.platform.bucket("lake")
    days = [LIVE[0].first.date() + timedelta(days=number) for number in range(182)]
    return [one for one in read_days(s3, bucket, lived.names.workload, days).decisions if one.source != "batch"]


def test_every_prediction_is_a_decision(lived: Lived, decisions: list[Decision]) -> None:
    """182 days of 48 rows; 4 May was asked twice, so it was decided twice. Version 2 begins with half of two days."""
    assert len({decision.id for decision in decisions}) == 182 * 48
    asked = Counter(row["timestamp"] for month in LIVE for day in month.days() for row in day)
    assert Counter(f"{decision.event_time:%Y-%m-%dT%H:%M:%S}" for decision in decisions) == asked
    assert not any(decision.fallback for decision in decisions)
    days = {(decision.model_version, f"{decision.event_time:%m-%d}") for decision in decisions}
    of_version = {number: {day for version, day in days if version == number} for number in ("1", "2")}
    assert max(of_version["1"]) == "05-16"
    assert min(of_version["2"]) == "05-15"
    assert of_version["1"] & of_version["2"] == {"05-15", "05-16"}


def test_the_budget_of_calls_holds(lived: Lived) -> None:
    own = sum(lived.calls_of_people[name] for name in WITNESSING)
    assert 0 < lived.result["api_calls"] - own <= API_CALLS


def test_the_driver_only_puts_asks_and_moves_the_clock(lived: Lived) -> None:
    """Nobody but roles called anything else that changes something: no execution was started, no alarm set by hand."""
    changing = {
        name: calls
        for name, calls in lived.calls_of_people.items()
        if not name.partition(":")[2].startswith(READING) and name not in WITNESSING
    }
    assert changing == {"s3:PutObject": len(HISTORY) + 1 + len(LIVE), "lambda:Invoke": CALLS}


def test_no_role_was_refused_anything(lived: Lived) -> None:
    assert lived.denials == []
