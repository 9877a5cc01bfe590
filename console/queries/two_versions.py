"""What is recorded of the versions that a person lays beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millrace.console.environment import Environment
from millrace.console.queries.documents import find_package
from millrace.console.queries.live import FAILURES
from millrace.console.queries.money.work import Job, find_jobs
from millrace.console.queries.monitoring import MonitoredWindow, find_monitor_runs, windows
from millrace.console.queries.plan import Declared, declared_of_run
from millrace.console.queries.report import MOST_RUNS, JudgedModel, read_judged
from millrace.console.queries.stored import Unread, part
from millrace.console.queries.versions import NEVER, CallTimes, read_call_times
from millrace.names import WorkloadNames
from millrace.release.registry import Package


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
    monitored = windows(find_monitor_runs(environment, names, limit=MOST_RUNS)[0])
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
