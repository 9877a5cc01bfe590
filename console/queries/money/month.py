"""One table of what a workload costs: a month's work, the endpoint, what is stored, and what is billed anyway.

All figures are estimates at list prices, not bills. Runs are estimated by the time that SageMaker reports as billed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile

from botocore.exceptions import ClientError

from millrace.console.environment import Environment
from millrace.console.queries.executions import answers_of, list_executions, read_history
from millrace.console.queries.money.work import (
    CostLine,
    by_price,
    endpoint_lines,
    find_jobs,
    find_monthly,
    function_lines,
    job_lines,
    live_fleet,
    priced,
)
from millrace.console.queries.query import price
from millrace.console.queries.versions import registry_of, state_of
from millrace.console.words import count
from millrace.errors import EnvironmentNotFoundError
from millrace.names import QUERY, WorkloadNames
from millrace.state.budget import MonthlyBudget
from millrace.timestamps import next_month, parse_utc
from millrace.workload.bulk import BILLED, billed_usd
from millrace.workload.declaration import Workload
from millrace.workload.prices import RATES

BESIDE = ("monitor", "score")
"""The machines with jobs, beside `train`, whose runs a budget counts, and `release`, whose jobs are preflights."""


@dataclass(frozen=True, kw_only=True)
class MonthCost:
    """The cost of one month (UTC)."""

    month: str
    """`1997-06`."""
    budget_usd: float
    reserved_usd: float
    """The sum that the month's runs have reserved."""
    lines: tuple[CostLine, ...]
    """What the month's work cost, the most expensive first; then what a month costs while nothing happens."""

    def sum(self, *billed: str) -> float:
        """The sum of the lines that are billed like this."""
        return sum(line.usd or 0 for line in self.lines if line.billed in billed)


def find_cost(environment: Environment, names: WorkloadNames, workload: Workload, *, month: str = "") -> MonthCost:
    """The cost of the month (yyyy-mm). Without a month it is the last one in which a run has reserved budget, else the
    present month.

    Raises EnvironmentNotFoundError if the text is not a month."""
    spends = MonthlyBudget(state_of(environment, names)).months()
    now = environment.now()
    wanted = month or max(spends, default=f"{now:%Y-%m}")
    first = _first_of(wanted)
    # The month may not be over yet.
    end, spent = min(now, next_month(first)), spends.get(wanted)
    reserved = {arn: float(usd) for arn, usd in (spent.runs if spent else {}).items()}
    drops = {arn: reserved.pop(arn) for arn in [*reserved] if f":{names.machine('ingest')}:" in arn}
    # `…:execution:<machine>:<name>` and `…:training-job/<name>` are `<name>`.
    runs = {arn.rpartition(":")[2].rpartition("/")[2]: usd for arn, usd in reserved.items()}
    work = by_price(
        *_job_lines(environment, names, runs, first),
        *endpoint_lines(live_fleet(environment, names), first, end),
        *spark_lines(environment, drops),
        *(query_lines(environment, names, first) if workload.queries else ()),
        # `function_lines` reads up to one day after the moment that it is given.
        *function_lines(environment, names, first, end - timedelta(days=1)),
    )
    return MonthCost(
        month=wanted,
        budget_usd=workload.budget.monthly_usd,
        reserved_usd=float(spent.usd) if spent else 0.0,
        lines=(*work, *find_monthly(environment, names)),
    )


def find_bills(environment: Environment, names: WorkloadNames, workload: Workload) -> dict[str, tuple[CostLine, ...]]:
    """The lines of the last three whole months, by yyyy-mm; empty if the workload is not deployed.

    Step Functions forgets an execution after 90 days: https://docs.aws.amazon.com/step-functions/latest/dg/limits-overview.html"""
    found, first = dict[str, tuple[CostLine, ...]](), _first_of(f"{environment.now():%Y-%m}")
    while names in environment.deployed() and len(found) < 3:
        first = (first - timedelta(days=1)).replace(day=1)
        found[f"{first:%Y-%m}"] = find_cost(environment, names, workload, month=f"{first:%Y-%m}").lines
    return found


def _first_of(month: str) -> datetime:
    """The first moment of the month, UTC. Raises EnvironmentNotFoundError if the text is not a month."""
    try:
        return parse_utc(f"{month}-01")
    except ValueError:
        raise EnvironmentNotFoundError(f"--month: expected a month as 1997-06, got {month!r}") from None


def _job_lines(
    environment: Environment, names: WorkloadNames, runs: Mapping[str, float], first: datetime
) -> Iterator[CostLine]:
    """A line for each run that reserved budget, `train` executions and what a person started; then all other jobs."""
    releases = _begun(environment, names, "release", first)
    beside = {name for machine in BESIDE for name in _begun(environment, names, machine, first)}
    jobs = list(find_jobs(environment, [*runs, *releases, *beside], since=first))
    versions = {package.metadata.get("run", ""): package.version for package in registry_of(environment, names).all()}
    for run, reserved_usd in runs.items():
        own = [job for job in jobs if job.run == run]
        version = f", version {versions[run]}" if run in versions else ""
        yield CostLine(
            what="tuning" if run.startswith(names.tuning()) else "training",
            which=f"{run}{version}",
            count=sum(job.billed_s for job in own),
            unit="seconds",
            runs=1,
            usd=sum(job.usd for job in own),
            reserved_usd=reserved_usd,
        )
    yield from job_lines((job for job in jobs if job.run in releases), what="preflight")
    yield from job_lines(job for job in jobs if job.run in beside)


def _begun(environment: Environment, names: WorkloadNames, machine: str, first: datetime) -> set[str]:
    """The names of the machine's executions that began in the month."""
    # The newest first.
    listed = list_executions(environment.client("stepfunctions"), names, machine) or ()
    since = takewhile(lambda each: each["startDate"] >= first, listed)
    return {each["name"] for each in since if each["startDate"] < next_month(first)}


def spark_lines(environment: Environment, reserved: Mapping[str, float]) -> Iterator[CostLine]:
    """A line for the jobs of Spark that judged large drops, by what EMR Serverless says that it has billed.

    `reserved` are US dollars by the ARN of the execution."""
    if reserved:
        used = [*_billed(environment, {arn.partition("#")[0] for arn in reserved})]
        hours, usd = sum(one.get("vCPUHour", 0.0) for one in used), sum(map(billed_usd, used))
        line = priced("spark", hours, "vCPU hours", BILLED["vCPUHour"])
        yield replace(line, which=count(len(used), "job"), runs=len(used), usd=usd, reserved_usd=sum(reserved.values()))


def _billed(environment: Environment, arns: Set[str]) -> Iterator[Mapping[str, float]]:
    """What each job of these executions was billed for, as GetJobRun gives it."""
    states, emr = environment.client("stepfunctions"), environment.client("emr-serverless")
    for arn in arns:
        # An execution or an application that is gone does not say any more what it took.
        with suppress(ClientError):
            for job in answers_of(read_history(states, arn), "taskSubmittedEventDetails", "emr-serverless"):
                run = emr.get_job_run(applicationId=job["ApplicationId"], jobRunId=job["JobRunId"])["jobRun"]
                yield run.get("billedResourceUtilization", {})


def query_lines(environment: Environment, names: WorkloadNames, first: datetime) -> Iterator[CostLine]:
    """A line for each scheduled query, by what Athena read for its runs of the month."""
    read = dict[str, list[int]]()
    states = environment.client("stepfunctions")
    for run in sorted(_begun(environment, names, QUERY, first)):
        output = json.loads(states.describe_execution(executionArn=names.execution_arn(QUERY, run)).get("output", "{}"))
        if unloaded := output.get("unloaded"):
            name = str(output["detail"]["schedule"]).removeprefix(f"{QUERY}-")
            read.setdefault(name, []).append(int(unloaded["scanned_bytes"]))
    for name, scanned in read.items():
        yield CostLine(
            what="query",
            which=f"{name}, {count(len(scanned), 'run')}",
            count=sum(scanned) / 1e9,
            unit="GB read",
            runs=len(scanned),
            usd=sum(map(price, scanned)),
            source=RATES["scanned byte"].source,
        )
