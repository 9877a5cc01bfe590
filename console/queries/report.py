"""Everything that the report page shows of one workload at one stage, and what is recorded of versions to compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from millrace.console.environment import Environment
from millrace.console.queries.alarms import Limit, find_limits, read_watched
from millrace.console.queries.decisions import newest_decision
from millrace.console.queries.documents import Epoch, read_epochs
from millrace.console.queries.drops import Drop, ReasonCount, count_reasons, find_drops, read_files
from millrace.console.queries.executions import Execution, drops_of
from millrace.console.queries.freshness import Step, find_freshness
from millrace.console.queries.lineage import trace_decision
from millrace.console.queries.link import Link
from millrace.console.queries.live import FAILURES, live_periods, read_climbs
from millrace.console.queries.money.work import (
    CostLine,
    Job,
    by_price,
    endpoint_lines,
    find_jobs,
    function_lines,
    job_lines,
    live_fleet,
)
from millrace.console.queries.monitoring import (
    AlarmRaised,
    ChampionPeriod,
    MonitoredWindow,
    MonitorRun,
    find_monitor_runs,
    find_rejected,
    raised_alarms,
    read_monitor_runs,
    windows,
)
from millrace.console.queries.plan import Declared, declared_of_run
from millrace.console.queries.runs import executions
from millrace.console.queries.stored import Unread, find_object, part
from millrace.console.queries.versions import (
    NEVER,
    CallTimes,
    ModelVersion,
    audit_of,
    describe_version,
    find_package,
    find_versions,
    read_call_times,
    read_evaluation,
)
from millrace.evaluation.agreement import SAMPLE_FILE
from millrace.evaluation.report import ErrorMeaning, Evaluation
from millrace.evaluation.sample import read_sample
from millrace.messages.audit import RowsWithdrawn
from millrace.messages.climb import Climb
from millrace.names import WorkloadNames
from millrace.release.registry import Package

MOST_RUNS = 100
"""How many executions of each machine are read, the newest ones."""
MOST_VERSIONS = 12
"""How many versions and refused models are read, the newest ones."""
PartT = TypeVar("PartT")


@dataclass(frozen=True, kw_only=True)
class JudgedModel:
    """A model version, or a model that a gate refused."""

    version: ModelVersion
    evaluation: Evaluation | None
    """None if its report does not exist."""
    epochs: tuple[Epoch, ...]
    climbs: tuple[Climb, ...] = ()
    """What is known of it on the phases of its release that watch a version."""

    @property
    def is_passed(self) -> bool:
        """Whether all gates passed it, so that it was registered."""
        return self.version.version is not None


@dataclass(frozen=True, kw_only=True)
class WorkloadReport:
    """One workload at one stage. What does not exist yet is empty."""

    names: WorkloadNames
    question: str
    """The question that the model answers."""
    now: datetime
    """The time of the environment's clock."""
    runs: tuple[Execution, ...]
    """The newest MOST_RUNS executions of each machine, the oldest first."""
    models: tuple[JudgedModel, ...]
    """The oldest first."""
    monitor_runs: tuple[MonitorRun, ...]
    windows: tuple[MonitoredWindow, ...]
    champions: tuple[ChampionPeriod, ...]
    alarms: tuple[AlarmRaised, ...]
    quarantined: Mapping[str, tuple[ReasonCount, ...]]
    """The reasons of quarantined rows, by the drop's id."""
    drops: tuple[Drop, ...]
    lineage: tuple[Link, ...]
    """The chain of the newest decision."""
    usage: tuple[CostLine, ...]
    rejected: Mapping[date, int] = field(default_factory=dict)
    """The refused rows of requests by day."""
    limits: tuple[Limit, ...] = ()
    """The limits of the live version's monitors, and decisions that no monitor run judged."""
    freshness: tuple[Step, ...] = ()
    withdrawals: tuple[tuple[datetime, RowsWithdrawn], ...] = ()
    """The oldest first."""
    unread: Mapping[str, Unread] = field(default_factory=dict)
    """What could not be read, by the part of the page that lacks it: mostly what IAM does not let the caller read."""

    def of(self, machine: str) -> list[Execution]:
        """The executions of one machine, the oldest first."""
        return [run for run in self.runs if run.machine == machine]

    def error_of(self, version: str) -> ErrorMeaning | None:
        """What the errors of a model version mean; None if its evaluation was not read."""
        found = (model.evaluation for model in self.models if model.version.version == version)
        return next((evaluation.error for evaluation in found if evaluation), None)

    @property
    def live(self) -> JudgedModel | None:
        """The live version; None if there is none."""
        return next((model for model in self.models if model.version.status == "live"), None)


def read_report(environment: Environment, names: WorkloadNames, *, question: str) -> WorkloadReport:
    """Read everything that the report shows. It takes about four calls for each execution, version and drop.

    Raises EnvironmentNotFoundError if the workload is not deployed, ClientError if its executions cannot be read."""
    s3, now = environment.client("s3"), environment.now()
    unread: dict[str, Unread] = {}

    def read(section: str, of: Callable[[], PartT]) -> PartT | None:
        """What `of` reads; None where a service answers with an error, which the section then says."""
        found = part(of)
        if isinstance(found, Unread):
            unread[section] = found
            return None
        return found

    runs = executions(environment.client("stepfunctions"), names, limit=MOST_RUNS)
    # Executions come first: drops, monitor runs and alarms are all read from them.
    by_machine = {machine: [run for run in runs if run.machine == machine] for machine in {run.machine for run in runs}}
    monitored = by_machine.get("monitor", [])
    monitor_runs = read("monitoring", lambda: read_monitor_runs(s3, monitored)) or ()
    intake = [*by_machine.get("ingest", []), *by_machine.get("score", [])]
    dropped = {drop.drop_id for run in intake for drop in drops_of(run)}
    quarantined = read("drops", lambda: count_reasons(one for _, one in read_files(environment, names, dropped))) or {}
    decision = read("lineage", lambda: newest_decision(environment, names))
    records = read("timeline", lambda: audit_of(environment, names)) or ()
    first = min((run.started for run in runs), default=now)

    def usage() -> tuple[CostLine, ...]:
        """One line for each kind of work since the first of the executions began, the most expensive first."""
        jobs = job_lines(find_jobs(environment, [run.name for run in runs], since=first))
        fleet = endpoint_lines(live_fleet(environment, names), first, now)
        return by_price(*fleet, *jobs, *function_lines(environment, names, first, now)) if runs else ()

    # Newest first; the page shows the models oldest first.
    newest = read("models", lambda: list(islice(find_versions(environment, names), MOST_VERSIONS))) or []
    climbs = read("models", lambda: read_climbs(s3, names)) or {}
    live = next((version for version in newest if version.status == "live"), None)
    return WorkloadReport(
        names=names,
        question=question,
        now=now,
        runs=tuple(runs),
        models=read("models", lambda: tuple(_judged(s3, names, one, climbs) for one in reversed(newest))) or (),
        monitor_runs=monitor_runs,
        windows=(judged := windows(monitor_runs)),
        champions=tuple(
            ChampionPeriod(
                version=one.version,
                start=one.since.date(),
                end=(one.until or now).date(),
                by_rollback=bool(one.rolled_back_by),
            )
            for one in live_periods(records)
        ),
        alarms=raised_alarms(names, runs, monitor_runs),
        quarantined=quarantined,
        drops=find_drops(intake, quarantined),
        lineage=read("lineage", lambda: tuple(trace_decision(environment, names, decision)) if decision else ()) or (),
        usage=read("cost", usage) or (),
        rejected=read("monitoring", lambda: find_rejected(environment, names, judged)) or {},
        limits=read("monitoring", lambda: find_limits(read_watched(s3, names, live.run)) if live else ()) or (),
        freshness=read("freshness", lambda: tuple(find_freshness(environment, names, runs))) or (),
        withdrawals=tuple((one.as_of, one.details) for one in records if isinstance(one.details, RowsWithdrawn)),
        unread=unread,
    )


def question_of(folder: Path) -> str:
    """The first line of the folder's `workload.yaml`: a comment with the question that the model answers.

    The name of the folder if the first line is no comment."""
    first = (folder / "workload.yaml").read_text().partition("\n")[0]
    return first.removeprefix("# ").strip() if first.startswith("# ") else folder.name


def read_judged(environment: Environment, names: WorkloadNames, package: Package) -> JudgedModel:
    """The registered version with what was judged of it."""
    s3 = environment.client("s3")
    return _judged(s3, names, describe_version(environment, names, package), read_climbs(s3, names, package.version))


def _judged(
    s3: Any, names: WorkloadNames, version: ModelVersion, climbs: Mapping[str, tuple[Climb, ...]]
) -> JudgedModel:
    """The examples are missing for whoever may not read rows, and those that are erased for everybody."""
    evaluation, at = read_evaluation(s3, names, version.run), names.run_uri(version.run, "evaluation", SAMPLE_FILE)
    if evaluation and isinstance(rows := part(lambda: find_object(s3, at)), bytes):
        evaluation = evaluation.with_examples(read_sample(rows))
    return JudgedModel(
        version=version,
        evaluation=evaluation,
        epochs=read_epochs(s3, names, version.run) if version.run else (),
        climbs=climbs.get(version.version or "", ()),
    )


@dataclass(frozen=True, kw_only=True)
class ComparedVersion:
    """One of the versions."""

    model: JudgedModel
    call_times: tuple[CallTimes, ...]
    jobs: tuple[Job, ...]
    """Those of its training run that have ended."""
    windows: tuple[MonitoredWindow, ...]
    """The monitors' windows in which it was live, the oldest first."""
    declared: Declared | Unread
    """What it was trained by."""

    @property
    def number(self) -> str:
        return self.model.version.version or ""


def read_versions(environment: Environment, names: WorkloadNames, numbers: Sequence[str]) -> list[ComparedVersion]:
    """The versions of these numbers. Raises EnvironmentNotFoundError if there is no such version."""
    packages = [find_package(environment, names, number) for number in numbers]
    monitored = windows(find_monitor_runs(environment, names, limit=MOST_RUNS))
    return [_read(environment, names, package, monitored) for package in packages]


def _read(
    environment: Environment, names: WorkloadNames, package: Package, monitored: Sequence[MonitoredWindow]
) -> ComparedVersion:
    model = read_judged(environment, names, package)
    run, since = model.version.run, model.version.trained_at or NEVER
    return ComparedVersion(
        model=model,
        call_times=read_call_times(environment.client("s3"), names, run) if run else (),
        jobs=tuple(find_jobs(environment, [run] if run else [], since=since)),
        windows=tuple(window for window in monitored if window.version == package.version),
        declared=part(lambda: declared_of_run(environment, names, run, where=f"run {run}"), FAILURES),
    )
