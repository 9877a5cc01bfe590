"""What an operator sees of the runs of the fourteen months, by the commands themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.local_cloud.local_cloud import SECRET_VARIABLE
from millrace.console.queries.executions import read_history
from millrace.console.queries.steps import Log, read_log, read_steps
from tests.end_to_end.conftest import Lived


@pytest.fixture
def told(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`told("runs")`: what the command prints with --json."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", lived.cloud.endpoint_url)
    monkeypatch.setenv(SECRET_VARIABLE, lived.cloud.secret)

    def run(*words: str) -> Any:
        return json.loads(CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False).stdout)

    return run


def log_of(lived: Lived, arn: str, state: str) -> Log:
    steps = read_steps(read_history(lived.cloud.client("stepfunctions"), arn))
    (step,) = [step for step in steps if step.name == state]
    return read_log(lived.cloud.client("logs"), step)


def test_the_log_of_each_step_is_found(told: Callable[..., Any], lived: Lived) -> None:
    """Of a function by the time of its call, of a job by its name; months later, by the cloud's clock."""
    (arn,) = [run["arn"] for run in told("runs", "--machine", "train") if run["started"].startswith("1997-05-15")]
    function = log_of(lived, arn, "Snapshot")
    assert function.group == f"/aws/lambda/{lived.names.function('snapshot')}"
    entries = [json.loads(line.text) for line in function.lines if line.text.startswith("{")]
    assert [entry["snapshot"]["run"] for entry in entries if entry["message"] == "pinned"] == [arn.rpartition(":")[2]]
    job = log_of(lived, arn, "Training")
    assert job.group == "/aws/sagemaker/TrainingJobs"
    assert job.lines[0].text.startswith("epoch=0 ")
    epochs = [line.text for line in job.lines if line.text.startswith("epoch=0 ")]
    assert len(epochs) == 1
    assert log_of(lived, arn, "Registered").group == ""
