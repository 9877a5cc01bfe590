"""What a month cost: its trainings against the budget, preflights, the endpoint, a thousand predictions, and what else
ran or is stored.

All figures are estimates, not bills. `reserved` is what the budget counted when a run began: an upper bound with every
job at its longest runtime. `estimated` is the time that SageMaker reports as billed, times the list prices of
millrace/workload/prices.py for the most expensive region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile

from console.environment import Environment
from console.queries.decisions import find_days, size_of_decisions
from console.queries.executions import list_executions
from console.queries.storage_cost import storage_line
from console.queries.usage import (
    JOBS,
    CostLine,
    Job,
    ServingCost,
    function_line,
    job_lines,
    jobs_of,
    now_at,
    serving_cost,
)
from console.queries.versions import registry_of, state_of
from millrace.errors import EnvironmentNotFoundError
from millrace.names import WorkloadNames
from millrace.state.budget import MonthlyBudget
from millrace.timestamps import next_month, parse_utc
from millrace.workload.declaration import Workload

BESIDE = ("monitor", "score")
"""The machines with jobs, beside `train`, whose runs a budget counts, and `release`, whose jobs are preflights."""
MOST_BYTES = 256 * 2**20
"""A month's decisions are only counted up to this size. Beyond it the price of a thousand predictions is not known."""


@dataclass(frozen=True, kw_only=True)
class RunCost:
    """The cost of one training run, or of a job that a person started."""

    run: str
    """The name of the train execution, of the tuning job or of the experiment."""
    version: str | None
    """The model version that it registered; None if it registered none."""
    jobs: int
    billed_s: float
    """Seconds that SageMaker billed, summed over all its jobs and instances."""
    estimated_usd: float
    reserved_usd: float


@dataclass(frozen=True, kw_only=True)
class PreflightCost:
    """The cost of the jobs that start a version before its endpoint. No budget counts them: they train nothing."""

    jobs: int
    billed_s: float
    estimated_usd: float


@dataclass(frozen=True, kw_only=True)
class MonthCost:
    """The cost of one month (UTC)."""

    month: str
    """`1997-06`."""
    budget_usd: float
    reserved_usd: float
    """The sum that the month's runs have reserved."""
    runs: tuple[RunCost, ...]
    preflights: PreflightCost
    serving: ServingCost | None
    """The cost of the present endpoint; None if there is none, or if it was made after the month."""
    others: tuple[CostLine, ...]
    """Monitors, batch scoring, functions, and what is stored now; the most expensive first."""


def find_cost(environment: Environment, names: WorkloadNames, workload: Workload, *, month: str = "") -> MonthCost:
    """The cost of the month (yyyy-mm). Without a month it is the last one in which a run has reserved budget, else the
    present month.

    Raises EnvironmentNotFoundError if the text is not a month."""
    spends = MonthlyBudget(state_of(environment, names)).months()
    now = now_at(environment)
    wanted = month or max(spends, default=f"{now:%Y-%m}")
    first = _first_of(wanted)
    # Runs are matched by name: with the version that they registered, and with the jobs that they started.
    versions = {package.metadata.get("run", ""): package.version for package in registry_of(environment, names).all()}
    spent = spends.get(wanted)
    runs = {_name(arn): float(usd) for arn, usd in (spent.runs if spent else {}).items()}
    releases = _begun(environment, names, "release", first)
    beside = {name for machine in BESIDE for name in _begun(environment, names, machine, first)}
    jobs = list(jobs_of(environment, JOBS, [*runs, *releases, *beside], since=first))
    # The month may not be over yet.
    end = min(now, next_month(first))
    serving = serving_cost(environment, names, first, end)
    others = [
        *job_lines(job for job in jobs if job.run in beside),
        # `function_line` reads up to one day after the moment that it is given.
        function_line(environment, names, first, end - timedelta(days=1)),
        storage_line(environment, names),
    ]
    return MonthCost(
        month=wanted,
        budget_usd=workload.budget.monthly_usd,
        reserved_usd=float(spent.usd) if spent else 0.0,
        runs=tuple(_run(run, usd, versions, [job for job in jobs if job.run == run]) for run, usd in runs.items()),
        preflights=_preflights([job for job in jobs if job.run in releases]),
        serving=serving and replace(serving, predictions=_predictions(environment, names, first)),
        others=tuple(sorted(filter(None, others), key=lambda line: -line.usd)),
    )


def _first_of(month: str) -> datetime:
    """The first moment of the month, UTC. Raises EnvironmentNotFoundError if the text is not a month."""
    try:
        return parse_utc(f"{month}-01")
    except ValueError:
        raise EnvironmentNotFoundError(f"--month: expected a month as 1997-06, got {month!r}") from None


def _name(arn: str) -> str:
    """The end of an ARN: `…:execution:<machine>:<name>` and `…:training-job/<name>` are `<name>`."""
    return arn.rpartition(":")[2].rpartition("/")[2]


def _run(run: str, reserved_usd: float, versions: Mapping[str, str], jobs: Sequence[Job]) -> RunCost:
    return RunCost(
        run=run,
        version=versions.get(run),
        jobs=len(jobs),
        billed_s=sum(job.billed_s for job in jobs),
        estimated_usd=sum(job.usd for job in jobs),
        reserved_usd=reserved_usd,
    )


def _begun(environment: Environment, names: WorkloadNames, machine: str, first: datetime) -> set[str]:
    """The names of the machine's executions that began in the month."""
    found = list_executions(environment.client("stepfunctions"), names, machine) or ()
    # The newest first.
    since = takewhile(lambda one: one["startDate"] >= first, found)
    return {one["name"] for one in since if one["startDate"] < next_month(first)}


def _preflights(jobs: Sequence[Job]) -> PreflightCost:
    return PreflightCost(
        jobs=len(jobs), billed_s=sum(job.billed_s for job in jobs), estimated_usd=sum(job.usd for job in jobs)
    )


def _predictions(environment: Environment, names: WorkloadNames, first: datetime) -> int | None:
    """How many decisions there are about days of the month; None if they are too many bytes to count."""
    last = next_month(first).date() - timedelta(days=1)
    if size_of_decisions(environment, names, f"{first:%Y-%m}") > MOST_BYTES:
        return None
    return sum(len(day.decisions) for day in find_days(environment, names, first=first.date(), last=last))
