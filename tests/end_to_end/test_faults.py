"""What goes wrong in earnest, on the cloud that has lived: nothing is lost, nothing comes twice, and it is told.

Each test shows first that its fault has really happened. The rows are those of the sample's autumn, a year later."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.table import Table
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.demo.electricity import STORY
from millrace.console.demo.months import SAMPLE, months
from millrace.console.environment import local_environment
from millrace.console.queries.dead_letters import find_dead_queues
from millrace.state.climbing import Climbing
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable
from millrace.workload.load import load_workload
from tests import builders
from tests.end_to_end.callers import less_of, typed
from tests.end_to_end.conftest import Lived, control
from tests.localcloud.waiting import until
from tests.processes import parent, writing

YEAR = timedelta(days=364)
"""Whole weeks, so that the days of the week stay right."""
WEEK_ROWS = 7 * 48


def a_year_later(first: str, last: str) -> pa.Table:
    table = pa.concat_tables([month.rows for month in months(SAMPLE, first, last)]).sort_by("timestamp")
    moved = pc.add(table["timestamp"], pa.scalar(YEAR, pa.duration("us")))
    return table.set_column(table.schema.get_field_index("timestamp"), table.schema.field("timestamp"), moved)


def parquet(rows: pa.Table) -> bytes:
    return builders.parquet(rows, write_page_checksum=True)


@pytest.fixture(scope="module")
def weeks() -> Iterator[pa.Table]:
    """Weeks that the table does not hold yet, one after the other."""
    rows = a_year_later("1996-08", "1996-09")
    return (rows.slice(start, WEEK_ROWS) for start in range(0, rows.num_rows - WEEK_ROWS, WEEK_ROWS))


@pytest.fixture
def week(weeks: Iterator[pa.Table]) -> pa.Table:
    return next(weeks)


@pytest.fixture
def table(lived: Lived, catalog: GlueCatalog) -> Callable[[], Table]:
    """The table of rows as it stands at the moment of the call."""
    return lambda: catalog.load_table((lived.names.platform.database, lived.names.table("rows")))


def held(table: Table, rows: pa.Table) -> int:
    """How many rows the table has for these moments; more than there are moments where one came twice."""
    moments = rows["timestamp"].to_pylist()
    found = table.scan(row_filter=f"timestamp >= '{min(moments).isoformat()}'", selected_fields=("timestamp",))
    return sum(moment in set(moments) for moment in found.to_arrow()["timestamp"].to_pylist())


def runs_of(lived: Lived, uri: str) -> list[dict[str, Any]]:
    """What describe_execution says of each ingest execution of this object and version."""
    client = lived.cloud.client("stepfunctions")
    listed = client.list_executions(stateMachineArn=lived.names.machine_arn("ingest"))["executions"]
    runs = [client.describe_execution(executionArn=each["executionArn"]) for each in listed]
    version = uri.rpartition("=")[2]
    return [
        run for run in runs if version in {one["version_id"] for one in json.loads(run["input"])["detail"]["objects"]}
    ]


def committed(lived: Lived, uri: str) -> list[dict[str, Any]]:
    """The detail of each event that told of a commit of this object."""
    events = [event["detail"] for event in lived.witness.told("dataset.committed")]
    return [detail for detail in events if detail["source"] == uri]


@pytest.mark.parametrize("action", ["s3:PutObject", "glue:UpdateTable"])
def test_a_function_that_fails_is_redriven(
    lived: Lived, table: Callable[[], Table], week: pa.Table, action: str
) -> None:
    """The validation function may not write files, or may not set the table's pointer after it has written them.

    The operator looks at it and gives it back what it may, and the execution goes on."""
    iam = lived.cloud.client("iam")
    role = lived.names.role("validation")
    policy = iam.get_role_policy(RoleName=role, PolicyName="statements")["PolicyDocument"]
    refused = len(control(lived.cloud, "denials"))
    iam.put_role_policy(RoleName=role, PolicyName="statements", PolicyDocument=json.dumps(less_of(policy, action)))
    try:
        uri = lived.put("training", f"without-{action.partition(':')[2]}.parquet", parquet(week))
        lived.rest()
        (run,) = runs_of(lived, uri)
        assert run["status"] == "FAILED"
        assert "AccessDenied" in run["cause"]
        denials = control(lived.cloud, "denials")[refused:]
        assert {(one["role"], one["action"]) for one in denials} == {(role, action)}
        assert held(table(), week) == 0
    finally:
        iam.put_role_policy(RoleName=role, PolicyName="statements", PolicyDocument=json.dumps(policy))
    shown = typed("show", run["name"])
    assert shown["steps"][-1]["name"] == "Validation"
    assert any("AccessDenied" in line["text"] for line in shown["log"]["lines"])
    rerun = CliRunner().invoke(app, ["rerun", run["name"], "--wait"])
    assert rerun.exit_code == 0, rerun.exception
    assert rerun.stdout == f"ingest {run['name']} redriven\n"
    (again,) = runs_of(lived, uri)
    assert (again["status"], again["redriveCount"]) == ("SUCCEEDED", 1)
    (detail,) = committed(lived, uri)
    assert detail["rows_accepted"] == WEEK_ROWS == held(table(), week)
    entered = history(lived, again["executionArn"], "TaskStateEntered", "stateEnteredEventDetails")
    assert [event["name"] for event in entered].count("Ingestion") == 1
    queues = find_dead_queues(local_environment(lived.cloud), lived.names)
    assert [one for one in queues if one.messages] == []


def history(lived: Lived, arn: str, kind: str, details: str) -> list[dict[str, Any]]:
    pages = lived.cloud.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=arn)
    return [event[details] for page in pages for event in page["events"] if event["type"] == kind]


def test_a_training_that_loses_its_instance_goes_on_from_its_checkpoint(lived: Lived) -> None:
    """An instance that is taken away: the machine's retry goes on under another name, the run ends with a version."""
    states, sagemaker = lived.cloud.client("stepfunctions"), lived.cloud.client("sagemaker")
    lived.put("training", "autumn.parquet", parquet(a_year_later("1996-08", "1996-12")))
    lived.rest()
    log = lived.build / "local" / "logs" / "jobs" / "training"
    known = set(log.iterdir())
    arn = states.start_execution(stateMachineArn=lived.names.machine_arn("train"), input="{}")["executionArn"]
    (fresh,) = until(lambda: [path for path in set(log.iterdir()) - known if "epoch=1" in path.read_text()], limit_s=60)
    # The exporter of the graph is a fork of the job's process.
    found = writing(fresh)
    (process,) = [each for each in found if parent(each) not in found]
    os.kill(process, signal.SIGTERM)
    lived.rest()

    stopped = re.search(r"stopped: in epoch (\d+)", fresh.read_text())
    assert stopped
    killed = sagemaker.describe_training_job(TrainingJobName=fresh.stem)
    assert killed["TrainingJobStatus"] == "Failed"
    assert killed["FailureReason"] == "AlgorithmError: , exit code: 143"
    tried = history(lived, arn, "TaskScheduled", "taskScheduledEventDetails")
    names = [json.loads(task["parameters"]).get("TrainingJobName") for task in tried]
    jobs = [name for name in names if name]
    assert jobs == [fresh.stem, f"{fresh.stem}-on-demand"]
    assert sagemaker.describe_training_job(TrainingJobName=jobs[1])["TrainingJobStatus"] == "Completed"
    epochs = re.findall(r"^epoch=(\d+) ", fresh.with_stem(jobs[1]).read_text(), re.MULTILINE)
    assert epochs[0] == stopped[1], "the second job begins in the epoch in which the first one ended"
    run = states.describe_execution(executionArn=arn)
    assert run["status"] == "SUCCEEDED"
    registered = [event["detail"] for event in lived.witness.told("model.registered") if event["detail"]["run"] == arn]
    assert [event["version"] for event in registered] == ["3"]
    package = sagemaker.describe_model_package(ModelPackageName=registered[0]["package_arn"])
    assert f"/{jobs[1]}/" in package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    # It would answer a share of the requests: nobody asks, so it is refused at the canary's end.
    state = StateTable(lived.cloud.client("dynamodb"), lived.names)
    climbing = Climbing.find(state)
    assert climbing is not None
    assert (climbing.version, climbing.phase) == ("3", "canary")
    limit = load_workload(STORY.folder).rollout.canary.limit_days
    lived.cloud.move_clock(lived.cloud.now() + timedelta(days=limit, hours=1))
    lived.rest()
    assert Climbing.find(state) is None
    champion = ReleasePointers(state).champion()
    assert champion is not None
    assert champion.version == "2"
