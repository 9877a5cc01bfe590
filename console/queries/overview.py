"""The state of a workload in a few calls: what is live, what runs, what came last, and what waits for a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from millrace.aws.endpoints import BROKEN, find_endpoint
from millrace.console.environment import Environment
from millrace.console.queries.alarm_states import AlarmState, find_alarm_states
from millrace.console.queries.executions import Execution
from millrace.console.queries.live import Automates, find_automates
from millrace.console.queries.money.endpoint import find_asleep, words_of
from millrace.console.queries.reviews import Waiting, find_waiting_reviews
from millrace.console.queries.runs import Run, read_execution, runs_by_machine
from millrace.console.queries.unread import Unread, part, unread
from millrace.console.queries.versions import WaitingVersion, find_waiting, state_of
from millrace.console.queries.waiting import WaitingDrops, read_waiting
from millrace.errors import MillraceError
from millrace.names import MACHINE_OF_FEED, WorkloadNames
from millrace.state.asleep import Asleep
from millrace.state.pointers import ReleasePointers, Version

SEEN = 100
"""How many of the newest executions of each machine are looked at, by one call; and how many decisions are counted."""
WAITS_FOR = timedelta(days=7)
"""How long a failed run is listed as one that waits for a person."""
MOST_FAILED = 5
"""How many failed runs are described, the newest ones."""
GOOD = ("RUNNING", "SUCCEEDED")
FAILURES = (MillraceError, ClientError, BotoCoreError, OSError, ValueError)
"""What can be wrong with one workload: its files, what it has stored, or a service."""


@dataclass(frozen=True, kw_only=True)
class RecentRuns:
    """What the machines of a workload do, and what they did last."""

    running: tuple[Run, ...]
    """The newest first."""
    newest: Execution | None
    """The newest that has ended."""
    drop: Execution | None
    """The newest of `ingest` and `score`."""
    monitor: Execution | None
    failed: tuple[Execution, ...]
    """Runs that failed in the last WAITS_FOR: all of drops, of another machine only its newest."""


@dataclass(frozen=True, kw_only=True)
class UnreadWorkload:
    """A workload of which nothing can be shown."""

    workload: str
    why: Unread


@dataclass(frozen=True, kw_only=True)
class WorkloadState:
    """One workload at one stage."""

    names: WorkloadNames
    now: datetime
    """The time of the environment's clock."""
    champion: Version | Unread | None
    asleep: Asleep | Unread | None
    """None while the endpoint is not stopped."""
    lost: str
    """Why the live version cannot answer, with the command that helps; empty if it can, or if nobody can say."""
    automates: Automates | Unread | None
    """None without a policy."""
    runs: RecentRuns | Unread
    alarms: tuple[AlarmState, ...] | Unread
    """Those that are on, of the workload and then of its stage."""
    waiting: WaitingDrops | Unread | None
    reviews: Waiting | Unread | None
    """Decisions that wait for a person; None without a policy."""
    unapproved: tuple[WaitingVersion, ...] | Unread
    """The versions that wait for a person, the newest first."""

    @property
    def live(self) -> str:
        """`version 3`, `version 3, asleep since 1997-06-01 18:50`, `none yet`; why the pointers cannot be read."""
        if not isinstance(self.champion, Version):
            return self.champion.words if self.champion else "none yet"
        words = words_of(self.asleep) if isinstance(self.asleep, Asleep) else ""
        return ", ".join(filter(None, (f"version {self.champion.version}", words, self.lost and f"✗ {self.lost}")))


def try_state(environment: Environment, names: WorkloadNames) -> WorkloadState | UnreadWorkload:
    """The state of the workload, or why there is none: a mistake in one declaration hides no other workload."""
    try:
        return read_state(environment, names)
    except FAILURES as error:
        return UnreadWorkload(workload=names.workload, why=unread(error))


def read_state(environment: Environment, names: WorkloadNames) -> WorkloadState:
    """The state of the workload. A part that a service answers with an error is Unread.

    Raises EnvironmentNotFoundError if the workload is not deployed, WorkloadError if its declaration cannot be read."""
    now = environment.now()
    champion = part(lambda: ReleasePointers(state_of(environment, names)).read().champion)
    live = champion if isinstance(champion, Version) else None
    automates = part(lambda: find_automates(environment, names, live))
    asleep = part(lambda: find_asleep(environment, names)) if live else None
    lost = part(lambda: lost_endpoint(environment, names)) if live and asleep is None else ""
    return WorkloadState(
        names=names,
        now=now,
        champion=champion,
        asleep=asleep,
        lost=lost if isinstance(lost, str) else "",
        automates=automates,
        runs=part(lambda: _runs(environment, names, now)),
        alarms=part(
            lambda: tuple(one for one in find_alarm_states(environment, names, ()) if one.state == "ALARM"),
        ),
        waiting=part(lambda: read_waiting(environment, names)),
        reviews=part(lambda: find_waiting_reviews(environment, names, most=SEEN)) if automates else None,
        unapproved=part(lambda: find_waiting(environment, names)),
    )


def lost_endpoint(environment: Environment, names: WorkloadNames) -> str:
    """Why the endpoint of a live version that is not asleep does not answer, with the command that makes it anew."""
    described = find_endpoint(environment.client("sagemaker"), names.endpoint)
    came = "gone" if described is None else described["EndpointStatus"]
    if described is not None and came not in BROKEN:
        return ""
    where = f"--workload {names.workload} --stage {names.platform.stage}"
    restore = f'millrace rollback --restore {where} --reason "endpoint {came}"'
    return f"its endpoint is {came}: {restore}"


def _runs(environment: Environment, names: WorkloadNames, now: datetime) -> RecentRuns:
    states = environment.client("stepfunctions")
    by_machine = runs_by_machine(states, names, limit=SEEN)
    newest_first = sorted((run for runs in by_machine.values() for run in runs), key=lambda run: run.started)[::-1]
    last = {machine: runs[0] for machine, runs in by_machine.items() if runs}
    of_drops = set(MACHINE_OF_FEED.values())
    failed = [
        run
        for run in newest_first
        if run.status not in GOOD
        and now - run.started <= WAITS_FOR
        and (run.machine in of_drops or run == last[run.machine])
    ][:MOST_FAILED]
    shown = {
        "newest": next((run for run in newest_first if run.status != "RUNNING"), None),
        "drop": next((run for run in newest_first if run.machine in of_drops), None),
        "monitor": last.get("monitor"),
    }
    # Several of them are often the same run, which is described once.
    described = {run.arn: read_execution(states, run) for run in {*filter(None, shown.values()), *failed}}
    return RecentRuns(
        running=tuple(run for run in newest_first if run.status == "RUNNING"),
        failed=tuple(described[run.arn] for run in failed),
        **{what: described[run.arn] if run else None for what, run in shown.items()},
    )
