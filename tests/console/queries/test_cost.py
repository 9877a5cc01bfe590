"""The table of costs: which jobs belong to a month, what a month costs while nothing happens."""

import json
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto.sagemaker.models import sagemaker_backends
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.environment import Environment
from millrace.console.local_cloud.local_cloud import ACCOUNT, PLATFORM, REGION
from millrace.console.queries.money import month
from millrace.console.queries.money import work as monthly
from millrace.console.queries.money.ahead import Projection, count_standing
from millrace.console.queries.money.month import MonthCost, find_cost, query_lines
from millrace.console.queries.money.work import (
    BUCKETS,
    CostLine,
    Job,
    find_ready,
    standing,
    storage_lines,
)
from millrace.console.queries.versions import state_of
from millrace.errors import EnvironmentNotFoundError
from millrace.infra.rules.assembly import read
from millrace.names import Platform, WorkloadNames, hash_of_run
from millrace.state.budget import MonthlyBudget
from millrace.timestamps import parse_utc
from millrace.workload.load import load_workload
from millrace.workload.prices import projected_usd, usd_per_hour
from millrace.workload.schedule import DAYS, times_a_month
from millrace.workload.training_cost import usages
from tests.console.conftest import make_machines, make_stores, stage_of
from tests.infra.conftest import ELECTRICITY, synthesized

RECORDED = json.loads(Path(__file__).with_name("bills.json").read_text())
"""February to May of `electricity` in the local cloud as `millrace cost --json` told of each, with the requests and the
files to score that were sent. A training a month, of the last 150 days, each for all its epochs."""
NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
DEV = WorkloadNames(platform=Platform(stage="dev", account=ACCOUNT, region=REGION), workload="electricity")
WORKLOAD = load_workload(Path("workloads/electricity"))
KEYS = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": REGION}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/machine-role"
CLUSTER = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}
TRAININGS = DAYS / 35
"""Of a month, by the declared days of cool-down."""
MOST_USD, FIGURE_USD = 3.20, 0.10
"""Of a workload a month, beside the hours of its endpoint."""


@pytest.fixture
def environment(account: None) -> Environment:
    made = stage_of()
    make_stores(made, *BUCKETS)
    made.client("sagemaker").create_model_package_group(ModelPackageGroupName=NAMES.package_group)
    return made


def lines_of(found: MonthCost, what: str) -> list[CostLine]:
    return [line for line in found.lines if line.what == what]


def test_without_a_month_it_is_the_last_one_with_a_run(environment: Environment) -> None:
    found = find_cost(environment, NAMES, WORKLOAD)
    assert (found.month, lines_of(found, "training")) == (f"{datetime.now(UTC):%Y-%m}", [])
    budget = MonthlyBudget(state_of(environment, NAMES))
    budget.reserve(1.5, arn="arn:x:failed-early", as_of=parse_utc("1997-05-03T00:00:00Z"), monthly_usd=50)
    may = find_cost(environment, NAMES, WORKLOAD)
    assert (may.month, may.reserved_usd, may.budget_usd) == ("1997-05", 1.5, 50)
    (run,) = lines_of(may, "training")
    assert (run.which, run.count, run.usd, run.reserved_usd) == ("failed-early", 0, 0, 1.5)
    with pytest.raises(EnvironmentNotFoundError, match="--month"):
        find_cost(environment, NAMES, WORKLOAD, month="May")


def test_the_preflight_of_a_release_counts_in_its_month_alone(environment: Environment) -> None:
    states, sagemaker = environment.client("stepfunctions"), environment.client("sagemaker")
    make_machines(environment, NAMES, "release")
    started = states.start_execution(stateMachineArn=NAMES.machine_arn("release"))["executionArn"]
    for name in (f"{hash_of_run(started.rpartition(':')[2])}-0-0", "another"):
        sagemaker.create_processing_job(
            ProcessingJobName=name,
            AppSpecification={"ImageUri": "i"},
            RoleArn=ROLE,
            ProcessingResources={"ClusterConfig": CLUSTER},
        )
        # moto keeps neither.
        job = sagemaker_backends[ACCOUNT][REGION].processing_jobs[name]
        job.processing_resources = {"ClusterConfig": CLUSTER}
        job.processing_start_time = job.processing_end_time - timedelta(seconds=90)
    (line,) = lines_of(find_cost(environment, NAMES, WORKLOAD), "preflight")
    assert (line.count, line.unit) == (90, "seconds")
    assert line.usd == pytest.approx(usd_per_hour("ml.m5.large") * 90 / 3600)
    assert lines_of(find_cost(environment, NAMES, WORKLOAD, month="1997-05"), "preflight") == []


def test_each_job_by_hand_belongs_to_what_reserved_it(environment: Environment) -> None:
    """A model that is registered takes no training, a tuning many: each reserves an amount of its own."""
    now = datetime.now(UTC)
    tuning = NAMES.tuning(now)
    reserved = {
        NAMES.execution_arn("train", "trained"): 1.5,
        NAMES.platform.arn("sagemaker", f"hyper-parameter-tuning-job/{tuning}"): 4.0,
    }
    for arn, usd in reserved.items():
        assert MonthlyBudget(state_of(environment, NAMES)).reserve(usd, arn=arn, as_of=now, monthly_usd=50)
    for name in (f"{tuning}-001-abc", f"{tuning}-002-def", "another"):
        environment.client("sagemaker").create_training_job(
            TrainingJobName=name,
            AlgorithmSpecification={"TrainingImage": "i", "TrainingInputMode": "File"},
            RoleArn=ROLE,
            OutputDataConfig={"S3OutputPath": "s3://b/"},
            ResourceConfig=CLUSTER,
            StoppingCondition={"MaxRuntimeInSeconds": 60},
        )
        sagemaker_backends[ACCOUNT][REGION].training_jobs[name].billable_time_in_seconds = 60
    cost = find_cost(environment, NAMES, WORKLOAD)
    found = {line.which: line for what in ("training", "tuning") for line in lines_of(cost, what)}
    assert {which: line.reserved_usd for which, line in found.items()} == {"trained": 1.5, tuning: 4.0}
    assert found["trained"].count == 0 < found[tuning].count


def test_what_ran_beside_and_what_is_stored_has_lines(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = parse_utc("1997-05-15T06:00:00Z")
    listed = {
        "monitor": [
            {"name": "june", "startDate": began + timedelta(days=30)},
            {"name": "windows", "startDate": began},
        ]
    }
    job = Job(run="windows", kind="processing", instance="ml.m5.large", billed_s=90.0)
    monkeypatch.setattr(month, "list_executions", lambda _states, _names, machine: iter(listed.get(machine, [])))
    monkeypatch.setattr(month, "find_jobs", lambda _environment, runs, since: [job] if runs == ["windows"] else [])
    (before,) = storage_lines(environment, NAMES)
    for key in (f"{NAMES.workload}/rows/a", "another/rows/a"):
        environment.client("s3").put_object(Bucket=PLATFORM.bucket("lake"), Key=key, Body=b"x" * 1000)
    (after,) = storage_lines(environment, NAMES)
    assert round((after.count - before.count) * 1e9) == 1000
    found = find_cost(environment, NAMES, WORKLOAD, month="1997-05")
    assert [line.what for line in found.lines] == ["processing", "storage"]
    assert found.sum("once") == pytest.approx(usd_per_hour("ml.m5.large") * 90 / 3600)
    monkeypatch.setattr(monthly, "MOST_OBJECTS", 0)
    assert storage_lines(environment, NAMES) == ()


def test_a_scheduled_query_costs_what_athena_read_and_ten_megabytes_at_least() -> None:
    client, began = boto3.client("stepfunctions", **KEYS), parse_utc("1997-05-15T06:00:00Z")
    ran = {"a": 3_000_000_000, "b": 17}
    listed = [
        {"executionArn": "arn:x", "stateMachineArn": "arn:x", "name": name, "status": "SUCCEEDED", "startDate": began}
        for name in (*ran, "failed")
    ]
    with Stubber(client) as stubber:
        asked = {"stateMachineArn": DEV.machine_arn("query")}
        stubber.add_response("list_executions", {"executions": listed}, asked)
        for name in sorted([*ran, "failed"]):
            output = {"detail": {"schedule": "query-orders"}, "unloaded": {"scanned_bytes": ran.get(name, 0)}}
            described = {"executionArn": "arn:x", "stateMachineArn": "arn:x", "status": "S", "startDate": began}
            described |= {"output": json.dumps(output)} if name in ran else {}
            stubber.add_response("describe_execution", described, {"executionArn": DEV.execution_arn("query", name)})
        bare = Environment(platform=DEV.platform, client=lambda _: client)
        (line,) = query_lines(bare, DEV, parse_utc("1997-05-01T00:00:00Z"))
    assert (line.which, line.unit, round(line.count, 6)) == ("orders, two runs", "GB read", 3.0)
    # 5 USD a terabyte; a query is billed as ten megabytes at least.
    assert line.usd == pytest.approx(5.0 * (3_000_000_000 + 10 * 2**20) / 1e12, rel=1e-3)


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = read(synthesized("dev", [ELECTRICITY], tmp_path_factory.mktemp("standing")))
    return {stack.name: stack.template.get("Resources", {}) for stack in found}


def test_it_is_at_most_three_dollars_and_twenty_cents_line_by_line(templates: dict[str, Any]) -> None:
    deployed = count_standing(DEV, templates) | {"scaling": 2}
    assert (deployed.pop("keys"), deployed.get("dashboards")) == (2, None)
    lines = standing(deployed)
    assert [(line.what, line.count, round(line.usd or 0, 2), line.billed) for line in lines] == [
        ("queues that functions poll", 2, 0.52, "monthly"),
        ("alarms", 20, 2.00, "monthly"),
        ("composite alarms", 1, 0.50, "monthly"),
        ("alarms of the scaling", 2, 0.20, "monthly with an endpoint"),
    ]
    # One of the alarms is on a figure of the business, which this workload declares and another need not.
    assert sum(line.usd or 0 for line in lines) - FIGURE_USD <= MOST_USD
    # The control: with a dashboard that is not free it would be above.
    assert sum(line.usd or 0 for line in standing(deployed | {"dashboards": 1})) > MOST_USD


@pytest.mark.parametrize("error", ["ResourceNotFoundException", "ProvisionedConcurrencyConfigNotFoundException", ""])
def test_a_function_that_is_kept_ready_costs_by_its_memory(error: str) -> None:
    """Moto knows no provisioned concurrency."""
    client, alias = boto3.client("lambda", **KEYS), {"FunctionName": DEV.function("prediction"), "Qualifier": "live"}
    with Stubber(client) as stubber:
        stubber.add_response("get_function_configuration", {"MemorySize": 1024}, alias)
        if error:
            stubber.add_client_error("get_provisioned_concurrency_config", error, http_status_code=404)
        else:
            kept = {"RequestedProvisionedConcurrentExecutions": 2}
            stubber.add_response("get_provisioned_concurrency_config", kept, alias)
        lines = standing(find_ready(client, DEV))
    assert round(sum(line.usd or 0 for line in lines), 2) == (0 if error else 17.28)


def test_a_month_to_come_is_within_a_quarter_of_what_it_was_billed() -> None:
    """May, by the three months before it and by what is sent in it. None of them had a release: that is a bound."""
    *_, may = RECORDED
    bills = {one["month"]: [CostLine(**line) for line in one["lines"]] for one in RECORDED}
    month, sent = may["month"], may["sent"]
    changed = {"retraining": {"cool_down_days": 28}, "monitors": {"schedule": "cron(0 6 ? * MON *)"}}
    changes = {name: getattr(WORKLOAD, name).model_copy(update=given) for name, given in changed.items()}
    projection = Projection(
        names=NAMES,
        workload=WORKLOAD.model_copy(update=changes),
        bills={name: bills[name] for name in sorted(bills) if name < month},
        requests=sent["requests"] / DAYS,
        files=sent["files"],
    )
    found = {(line.what, line.unit): line for line in projection.lines({})}
    billed = Counter[tuple[str, str]]()
    for line in bills[month]:
        billed[line.what, line.unit] += line.count if line.billed == "once" else 0
    bounds = {each for each in +billed if found[each].rests_on.endswith("at most")}
    assert bounds == {("preflight", "seconds")}
    assert all(billed[each] <= found[each].count for each in bounds)
    assert {each: found[each].count / billed[each] for each in (+billed).keys() - bounds} == {
        each: pytest.approx(1, rel=0.25) for each in (+billed).keys() - bounds
    }


def test_before_anything_ran_it_is_the_declaration_and_what_is_told(templates: dict[str, Any]) -> None:
    first = Projection(names=DEV, workload=WORKLOAD, bills={}, files=3).lines(templates)
    found = {line.what: line for line in first}
    assert {what: (line.count, line.rests_on) for what, line in found.items() if line.billed == "once"} == {
        "endpoint": (730, "rollout"),
        "training": (TRAININGS * 9000, "retraining.cool_down_days, at most"),
        "preflight": (TRAININGS * 1200, "retraining.cool_down_days, at most"),
        "processing": (7200, "monitors.schedule, at most"),
        "transform": (0, "--files"),
    }
    assert (found["transform"].usd, found["training"].usd) == (None, TRAININGS * projected_usd(usages(WORKLOAD, "dev")))
    assert (found["keys of the stage"].usd, found["keys of the stage"].billed) == (2, "monthly for all")
    told = Projection(names=DEV, workload=WORKLOAD, bills={}, minutes=2, files=3, requests=3e6, bulk_gb=5).lines({})
    counts = {(line.what, line.unit): (round(line.count), line.rests_on) for line in told}
    assert counts["endpoint", "instance hours"] == (3 * 730, "--requests")
    assert counts["transform", "seconds"] == (360, "--files, --minutes")
    assert counts["predictions", "calls"] == (91_250_000, "--requests")
    assert counts["spark", "vCPU hours"][1] == "--bulk-gb, at most"


def test_the_command_knows_a_stage_before_it_is_deployed(
    account: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ELECTRICITY, tmp_path / "workloads" / "electricity", ignore=shutil.ignore_patterns("sample"))
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path / "workloads"))
    words = ["cost", "--ahead", "--requests", "5000", "--stage", "prod", "--json", "--build", str(tmp_path)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    lines = {line["what"]: line for line in json.loads(done.stdout)}
    assert (lines["endpoint"]["count"], lines["predictions"]["rests_on"]) == (2 * 730, "--requests")
    assert {"alarms", "keys of the stage"} <= lines.keys()


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("cron(0 6 1,15 * ? *)", 2),
        ("cron(0 6 ? * MON *)", DAYS / 7),
        ("cron(0/15 8-17 ? * MON-FRI *)", 40 * 5 * DAYS / 7),
        ("cron(0 */6 * * ? *)", 4 * DAYS),
        ("cron(0 9 ? * 2#1 *)", 1),
        ("cron(15 10 L-3 1,7 ? *)", 1 / 6),
        ("cron(0 0 ? * L *)", DAYS / 7),
        ("cron(0 0 1 6/6,12/1 ? *)", 3 / 12),
        ("rate(1 hour)", 730),
        ("at(2026-01-01T00:00:00)", 0),
    ],
)
def test_how_often_a_schedule_is_due(expression: str, times: float) -> None:
    assert times_a_month(expression) == pytest.approx(times)
