"""Executions as Step Functions tells them: `history.json` is one execution of `retrain`, shortened."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from millrace.console.queries.executions import Execution, executions
from millrace.names import MACHINES
from tests.millrace.state.conftest import NAMES

FRAME = '  File "/var/task/functions/gating/handler.py", line 40, in handler\n'
"""A line of the traceback that the Lambda runtime gives with an exception."""
TOLD: Any = json.loads(Path(__file__).with_name("history.json").read_text())


def dated(told: dict[str, Any]) -> dict[str, Any]:
    """As boto3 gives it: times are times."""
    times = {
        name: datetime.fromisoformat(told[name]) for name in ("startDate", "stopDate", "timestamp") if name in told
    }
    return told | times


def answering(history: list[dict[str, Any]], status: str) -> Any:
    """Step Functions as it answers from TOLD: one execution of one machine, none of the others."""
    client = boto3.client("stepfunctions", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    stubber = Stubber(client)
    for machine in MACHINES:
        listed = [dated(TOLD["listed"]) | {"status": status}] if machine == "retrain" else []
        stubber.add_response("list_executions", {"executions": listed}, {"stateMachineArn": NAMES.machine_arn(machine)})
        if listed:
            asked = {"executionArn": TOLD["listed"]["executionArn"]}
    stubber.add_response("get_execution_history", {"events": list(map(dated, history))}, asked)
    stubber.activate()
    return client


def read(history: list[dict[str, Any]], status: str = "SUCCEEDED") -> Execution:
    (found,) = executions(answering(history, status), NAMES)
    return found


def test_an_execution_is_read_from_its_history() -> None:
    found = read(TOLD["events"])
    assert (found.machine, found.status, found.is_good) == ("retrain", "SUCCEEDED", True)
    assert found.input["detail"]["alarmName"].endswith("input-drift")
    assert found.answer("guard")["sentence"] == "5760 new labels, nothing against it"
    assert found.answer("nobody") == {}
    assert found.transitions == sum(event["type"].endswith("StateEntered") for event in TOLD["events"]) > 3
    assert found.seconds == pytest.approx(11.678)


@pytest.mark.parametrize(
    ("error", "cause", "failure"),
    [
        ("States.TaskFailed", "the guard is broken", "States.TaskFailed: the guard is broken"),
        (
            "States.TaskFailed",
            '{"TrainingJobName": "x", "FailureReason": "SnapshotError: no rows"}',
            "States.TaskFailed: SnapshotError: no rows",
        ),
        ("SettingsError", '{"errorMessage": "no table", "errorType": "SettingsError"}', "SettingsError: no table"),
        *(
            (
                kind,
                json.dumps({"errorMessage": said, "errorType": kind, "stackTrace": [FRAME]}),
                f"an unexpected error in gating: {told}; the log: millrace logs gating",
            )
            for kind, said, told in (
                ("ZeroDivisionError", "division by zero", "division by zero"),
                ("KeyError", "'rows'", "key error 'rows'"),
                ("AssertionError", "", "assertion error"),
            )
        ),
        (
            "States.TaskFailed",
            json.dumps({"FailureReason": "AlgorithmError: IndexError: list index out of range, exit code: 1"}),
            "an unexpected error in the job: list index out of range; the log: millrace logs RUN",
        ),
        ("Sandbox.Timedout", '{"errorMessage": "900 s", "errorType": "Sandbox.Timedout"}', "Sandbox.Timedout: 900 s"),
        ("States.Timeout", "", "States.Timeout"),
        ("Boom", '{"unknown": 1}', 'Boom: {"unknown": 1}'),
    ],
)
def test_a_cause_that_is_a_document_is_cut_to_its_reason(error: str, cause: str, failure: str) -> None:
    last = TOLD["events"][-1]
    failed = {
        **{key: last[key] for key in ("timestamp", "id", "previousEventId")},
        "type": "ExecutionFailed",
        "executionFailedEventDetails": {"error": error, "cause": cause},
    }
    found = read([*TOLD["events"][:-1], failed], "FAILED")
    assert (found.output, found.failure) == ({}, failure)
