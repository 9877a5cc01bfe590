"""One table of what a workload costs: a month's work, the endpoint, what is stored, and what is billed anyway.

All figures are estimates at list prices, not bills. Runs are estimated by the time that SageMaker reports as billed. A
new version brought its error and that of the version before on the same labels, times a price."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import pairwise, takewhile
from typing import Any

from millrace.console.environment import Environment
from millrace.console.queries.decisions import Day, find_days, size_of_decisions
from millrace.console.queries.executions import Execution, list_executions
from millrace.console.queries.money.endpoint import (
    LITTLE,
    IdleEndpoint,
    Utilisation,
    advise,
    endpoint_lines,
    find_idle,
    find_utilisation,
    live_fleet,
    sleeps_of,
)
from millrace.console.queries.money.work import (
    CostLine,
    Job,
    by_price,
    find_jobs,
    find_monthly,
    function_lines,
    job_lines,
    priced,
)
from millrace.console.queries.query import price
from millrace.console.queries.versions import audit_of, read_evaluation, registry_of, state_of
from millrace.console.words import count
from millrace.decisions.record import canonical
from millrace.errors import EnvironmentNotFoundError
from millrace.evaluation.report import ChampionComparison, Evaluation
from millrace.names import QUERY, WorkloadNames
from millrace.state.audit import Record
from millrace.state.budget import MonthlyBudget
from millrace.timestamps import next_month, parse_utc
from millrace.workload.declaration import Prediction, Workload
from millrace.workload.prices import RATES

UNIT = "USD"
ROWS = 1000
"""An evaluation has the costs of so many rows."""


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What the difference of two versions' errors on the same recent labels is worth."""

    compared: ChampionComparison
    price: float | None
    """What an error costs; for an amount what one of its units costs. None if nobody has declared it."""
    currency: str = UNIT

    def of(self, answers: int) -> float | None:
        """What so many answers save if the difference holds."""
        better = self.compared.error - self.compared.challenger_error
        return None if self.price is None else better * self.price * answers

    def least_of(self, answers: int) -> float | None:
        """What they save at least, with 95 %."""
        return None if self.price is None else self.compared.lower_bound * self.price * answers

    def words(self, usd: float) -> str:
        """What 1,000 answers save, and how many pay for a training of so many US dollars."""
        before = self.compared
        now = f"{before.challenger_error:.4f} now on the same {before.rows:,} labels"
        errors = f"error {before.error:.4f} of version {before.model_version}, {now}"
        saved, least = self.of(1000), self.least_of(1000)
        if saved is None or least is None:
            return f"{errors}; what an error costs is not declared (retraining.usd_per_error)"
        pays = saved > 0 and self.currency == UNIT
        paid = f", so {max(usd / saved * 1000, 1):,.0f} pay for the training" if pays else ""
        return f"{errors}: 1,000 answers save {saved:.2f} {self.currency} (at least {least:.2f}){paid}"


def gain_of(evaluation: Evaluation | None, usd_per_error: float | None) -> Gain | None:
    """None for a version that was compared with none, or by another measure than its error."""
    if evaluation is None or evaluation.champion is None or evaluation.champion.measure != "error":
        return None
    # Costs that depend on the class have a mean by the wrong answers of the version's own test rows.
    costs, error = evaluation.costs, evaluation.metrics.get("error")
    price = costs.all_automated.measured.value / ROWS / error if costs and error else usd_per_error
    return Gain(compared=evaluation.champion, price=price, currency=costs.currency if costs else UNIT)


BESIDE = ("monitor", "score")
"""The machines with jobs, beside `train`, whose runs a budget counts, and `release`, whose jobs are preflights."""
MOST_BYTES = 256 * 2**20
"""A month's decisions are only counted up to this size. Beyond it the price of a thousand predictions is not known."""
TOGETHER = timedelta(seconds=1)
"""Calls of one caller that are this near could have been one."""


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The requests about days of a month, by their decisions."""

    predictions: int
    calls: int
    together: int
    """Calls within TOGETHER after another one of the same caller."""
    repeated: int
    """Predictions whose row the same version had answered before, whatever its key and its time."""


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
    traffic: Traffic | None
    """The predictions about days of the month; None if they are too many bytes to count."""
    idle: IdleEndpoint | None
    use: Utilisation | None = None
    """None without a live endpoint in the month."""
    advice: tuple[str, ...] = ()
    """What would cost less."""
    gains: tuple[str, ...] = ()
    """What each version that was trained in the month brought."""
    slept_hours: float = 0.0
    """The hours of the month in which the endpoint was stopped, since nobody asked it."""
    saved_usd: float = 0.0
    """What its instances would have cost in them."""

    @property
    def usd_per_1000(self) -> float | None:
        """The endpoint's price of a thousand predictions; None if either is not known."""
        return self._per_1000(sum(line.usd or 0 for line in self.lines if line.what == "endpoint"))

    @property
    def usd_of_all_per_1000(self) -> float | None:
        """The same of all lines but those that are shared with other workloads."""
        return self._per_1000(self.sum("once", "monthly", "monthly with an endpoint")) if self.usd_per_1000 else None

    def _per_1000(self, usd: float) -> float | None:
        return usd / self.traffic.predictions * 1000 if usd and self.traffic and self.traffic.predictions else None

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
    records, fleet = audit_of(environment, names), live_fleet(environment, names)
    runs = {_name(arn): float(usd) for arn, usd in (spent.runs if spent else {}).items()}
    work = by_price(
        *_job_lines(environment, names, runs, first),
        *endpoint_lines(fleet, first, end, records),
        *(query_lines(environment, names, first) if workload.queries else ()),
        # `function_lines` reads up to one day after the moment that it is given.
        *function_lines(environment, names, first, end - timedelta(days=1)),
    )
    stood = next((line.count for line in work if line.what == "endpoint"), 0)
    use, advice = None, list[str]()
    if fleet and stood:
        use = find_utilisation(environment, names, first, end, fleet=fleet, instance_hours=stood)
        advice += advise(workload, names.platform.stage, fleet, use, hosting=_hosting(environment))
    if traffic := find_traffic(environment, names, first, workload.prediction):
        advice += advise_callers(traffic, work)
    sleeps = sleeps_of(records, first, end)
    return MonthCost(
        month=wanted,
        budget_usd=workload.budget.monthly_usd,
        reserved_usd=float(spent.usd) if spent else 0.0,
        lines=(*work, *find_monthly(environment, names)),
        traffic=traffic,
        use=use,
        advice=tuple(advice),
        gains=tuple(_gains(environment, names, work, workload)),
        idle=find_idle(environment, names, fleet),
        slept_hours=sum(one.hours for one in sleeps),
        saved_usd=sum(one.usd for one in sleeps),
    )


def find_usage(
    environment: Environment,
    names: WorkloadNames,
    runs: Sequence[Execution],
    jobs: Sequence[Job],
    records: Sequence[Record],
) -> tuple[CostLine, ...]:
    """One line for each kind of work since the first of the executions began, the most expensive first.

    The audit's `records` say when the endpoint slept."""
    if not runs:
        return ()
    first, now = min(run.started for run in runs), environment.now()
    return by_price(
        *endpoint_lines(live_fleet(environment, names), first, now, records),
        *job_lines(jobs),
        *function_lines(environment, names, first, now),
        priced("state machines", sum(run.transitions for run in runs), "transitions", "state transition"),
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
            what="training",
            which=f"{run}{version}",
            count=sum(job.billed_s for job in own),
            unit="seconds",
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


def _hosting(environment: Environment) -> Collection[str]:
    """The instance types of endpoints, by SageMaker's own model."""
    shape: Any = environment.client("sagemaker").meta.service_model.shape_for("ProductionVariantInstanceType")
    return frozenset(shape.enum)


def query_lines(environment: Environment, names: WorkloadNames, first: datetime) -> Iterator[CostLine]:
    """A line for each scheduled query, by what Athena read for its runs of the month."""
    read = dict[str, list[int]]()
    states = environment.client("stepfunctions")
    for run in sorted(_begun(environment, names, QUERY, first)):
        described = states.describe_execution(executionArn=names.execution_arn(QUERY, run))
        output = json.loads(described.get("output", "{}"))
        if unloaded := output.get("unloaded"):
            name = str(output["detail"]["schedule"]).removeprefix(f"{QUERY}-")
            read.setdefault(name, []).append(int(unloaded["scanned_bytes"]))
    for name, scanned in read.items():
        yield CostLine(
            what="query",
            which=f"{name}, {count(len(scanned), 'run')}",
            count=sum(scanned) / 1e9,
            unit="GB read",
            usd=sum(map(price, scanned)),
            source=RATES["scanned byte"].source,
        )


def _gains(
    environment: Environment, names: WorkloadNames, lines: Iterable[CostLine], workload: Workload
) -> Iterator[str]:
    """What the versions that were trained in the month brought, by the lines of their trainings."""
    s3, price_of_error = environment.client("s3"), workload.retraining.usd_per_error
    for line in lines:
        run, _, version = line.which.partition(", ")
        gain = gain_of(read_evaluation(s3, names, run), price_of_error) if line.what == "training" else None
        if gain and version:
            yield f"{version}: {gain.words(line.usd or 0)}"


def find_traffic(environment: Environment, names: WorkloadNames, first: datetime, spec: Prediction) -> Traffic | None:
    """The traffic about days of the month that begins at `first`; None if it is too many bytes to count."""
    last = next_month(first).date() - timedelta(days=1)
    if size_of_decisions(environment, names, f"{first:%Y-%m}") > MOST_BYTES:
        return None
    days = find_days(environment, names, first=first.date(), last=last, most_scored=0)
    return traffic_of(days, spec)


def traffic_of(days: Iterable[Day], spec: Prediction) -> Traffic:
    """The traffic of these days, the newest first. A fallback is a prediction that repeats nothing."""
    # What no feature reads says only which row it is.
    aside = {*spec.key, spec.event_time} - {*spec.feature_columns}
    predictions, repeated, calls, seen = 0, 0, set[tuple[str, datetime]](), set[bytes]()
    for day in days:
        predictions += len(day.decisions)
        for one in day.decisions:
            calls.add((one.caller or "", one.inferred_at))
            if one.model_version is None:
                continue
            cells = {name: cell for name, cell in json.loads(one.input).items() if name not in aside}
            row = blake2b(f"{one.model_version}{canonical(cells)}".encode(), digest_size=16).digest()
            repeated += row in seen
            seen.add(row)
    near = (a[0] == b[0] and b[1] - a[1] <= TOGETHER for a, b in pairwise(sorted(calls)))
    return Traffic(predictions=predictions, calls=len(calls), together=sum(near), repeated=repeated)


def advise_callers(traffic: Traffic, lines: Sequence[CostLine]) -> Iterator[str]:
    """What callers could do, by what endpoint and functions cost in the month."""
    functions, endpoint = (
        sum(line.usd or 0 for line in lines if line.what == what) for what in ("functions", "endpoint")
    )
    if traffic.together > LITTLE * traffic.calls:
        share = traffic.together / traffic.calls
        yield (
            f"{traffic.together:,} of {count(traffic.calls, 'call')} came within a second after another one of the "
            f"same caller: a call takes up to 1,000 rows, which saves {share * functions:.4f} USD of functions"
        )
    if traffic.repeated > LITTLE * traffic.predictions:
        share = traffic.repeated / traffic.predictions
        yield (
            f"{traffic.repeated:,} of {count(traffic.predictions, 'prediction')} ask again what the same version has "
            f"answered: a cache would save up to {share * functions:.4f} USD of functions, and "
            f"{share * endpoint:.2f} USD of the endpoint where that lets an instance go"
        )
