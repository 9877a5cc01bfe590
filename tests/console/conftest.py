"""A part of a real run of the workload electricity; and small machines in a local cloud of the test file's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from pydantic import TypeAdapter

from localcloud.kernel.cloud import Cloud
from millrace.console.environment import Environment
from millrace.console.local_cloud.local_cloud import PLATFORM
from millrace.console.queries.drops import find_drops
from millrace.console.queries.monitoring import MonitorRun, raised_alarms, windows
from millrace.console.queries.report import JudgedModel, WorkloadReport
from millrace.names import Platform, WorkloadNames
from millrace.timestamps import parse_utc
from tests.credentials import set_credentials
from tests.localcloud.resources import allow, make_role
from tests.state_table import create_table

NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
DEV = Platform(stage="dev", account="123456789012", region="eu-west-1")
STORED = Path(__file__).with_name("electricity.json")
PASS = {"Type": "Pass", "End": True}


@pytest.fixture(autouse=True)
def _one_workload(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command without --workload means the one of the stored run."""
    monkeypatch.setenv("MILLRACE_WORKLOAD", NAMES.workload)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty account, in moto."""
    set_credentials(monkeypatch)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield


def stage_of(platform: Platform = PLATFORM) -> Environment:
    """A stage of the account."""
    return Environment(platform=platform, client=cache(lambda service: boto3.client(service)))


@pytest.fixture
def environment(account: None) -> Environment:
    return stage_of(DEV)


def make_machines(environment: Environment, names: WorkloadNames, *machines: str) -> None:
    """Machines that moto does not run: an execution stays as it was started."""
    definition, role = json.dumps({"StartAt": "A", "States": {"A": PASS}}), names.role_arn("machines")
    for name in map(names.machine, machines):
        environment.client("stepfunctions").create_state_machine(name=name, definition=definition, roleArn=role)


def make_stores(environment: Environment, *purposes: str) -> None:
    """The stage's buckets for these purposes, and its tables."""
    place: Any = {"LocationConstraint": environment.platform.region}
    for purpose in purposes:
        bucket = environment.platform.bucket(purpose)
        environment.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    for table in (environment.platform.state_table, environment.platform.audit_table):
        create_table(environment.client("dynamodb"), table)


@pytest.fixture(scope="session")
def report() -> WorkloadReport:
    return read_stored(PLATFORM.stage)


def read_stored(stage: str) -> WorkloadReport:
    """The stored run at a stage, as `read_report` returns it; what follows from the executions is computed."""
    text = STORED.read_text().replace("millrace-local-", f"millrace-{stage}-")
    names = {"platform": vars(replace(PLATFORM, stage=stage)), "workload": NAMES.workload}
    bare = {**json.loads(text), "names": names, "windows": [], "alarms": [], "drops": []}
    return renewed(TypeAdapter(WorkloadReport).validate_python(bare))


def renewed(report: WorkloadReport) -> WorkloadReport:
    """The report with windows, alarms and drops computed from its executions again."""
    intake = [*report.of("ingest"), *report.of("score")]
    return replace(
        report,
        windows=windows(report.monitor_runs),
        alarms=raised_alarms(report.names, report.runs, report.monitor_runs),
        drops=find_drops(intake, report.quarantined),
    )


@pytest.fixture(scope="session")
def past_report(report: WorkloadReport) -> WorkloadReport:
    """The same run on rows two years older, so that event times and clock are of different times."""
    return with_older_rows(report, timedelta(days=731))


def with_older_rows(report: WorkloadReport, by: timedelta) -> WorkloadReport:
    """The report as if all its rows were older by that much, while the clock stays."""

    def older(run: MonitorRun) -> MonitorRun:
        windows = (
            each.model_copy(update={"start": each.start - by, "end": each.end - by}) for each in run.report.windows
        )
        return replace(run, report=run.report.model_copy(update={"windows": tuple(windows)}))

    def tested(model: JudgedModel) -> JudgedModel:
        assert model.evaluation is not None
        split = model.evaluation.split
        days = {"from_": f"{parse_utc(split.from_) - by:%Y-%m-%d}", "to": f"{parse_utc(split.to) - by:%Y-%m-%d}"}
        return replace(model, evaluation=model.evaluation.model_copy(update={"split": split.model_copy(update=days)}))

    models, runs = tuple(map(tested, report.models)), tuple(map(older, report.monitor_runs))
    return renewed(replace(report, models=models, monitor_runs=runs))


@pytest.fixture(scope="module")
def landing(cloud: Cloud) -> str:
    """The name of the bucket of drops, which keeps versions."""
    s3, bucket = cloud.client("s3"), NAMES.platform.bucket("landing")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


@pytest.fixture(scope="module")
def states(cloud: Cloud) -> Any:
    return cloud.client("stepfunctions")


@pytest.fixture(scope="module")
def machine(cloud: Cloud, states: Any) -> Callable[..., str]:
    """The ARN of the workload's machine of this name, made or changed to the given states."""
    role = make_role(cloud.client("iam"), "machines", "states", allow("*"))
    made: set[str] = set()

    def make(name: str, steps: dict[str, Any]) -> str:
        definition = json.dumps({"StartAt": next(iter(steps)), "States": steps})
        if name in made:
            states.update_state_machine(stateMachineArn=NAMES.machine_arn(name), definition=definition)
        else:
            states.create_state_machine(name=NAMES.machine(name), definition=definition, roleArn=role)
        made.add(name)
        return NAMES.machine_arn(name)

    return make


@pytest.fixture(scope="module")
def ran(states: Any) -> Callable[..., str]:
    """The ARN of an execution that has ended."""
    from tests.localcloud.waiting import until

    def run(machine: str, given: dict[str, Any] | None = None, name: str = "") -> str:
        named = {"name": name} if name else {}
        told = states.start_execution(stateMachineArn=machine, input=json.dumps(given or {}), **named)
        arn: str = told["executionArn"]
        until(lambda: states.describe_execution(executionArn=arn)["status"] != "RUNNING")
        return arn

    return run
