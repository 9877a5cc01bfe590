"""What is live and how it is: which version was when, what acts by itself, climbs and runs, and what waits for whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from millrace.aws.endpoints import BROKEN, find_endpoint
from millrace.aws.objects import keys_below, read_object, split_uri
from millrace.console.environment import Environment
from millrace.console.queries.agreement import agreement_in_words
from millrace.console.queries.alarms import AlarmState, states_of
from millrace.console.queries.audit import find_records
from millrace.console.queries.executions import Execution
from millrace.console.queries.freshness import Step, find_freshness
from millrace.console.queries.reviews import Waiting, WaitingDrops, find_waiting_reviews, read_waiting
from millrace.console.queries.runs import Run, read_execution, runs_by_machine
from millrace.console.queries.stored import Unread, find_object, part, unread
from millrace.console.queries.versions import WaitingVersion, climbing_version, find_waiting, state_of
from millrace.console.words import age, count
from millrace.decisions.standing import threshold_of
from millrace.errors import EnvironmentNotFoundError, MillraceError, WorkloadError
from millrace.messages.audit import AuditEvent, ResourcesRemoved, VersionDecided, VersionLive, VersionRolledBack
from millrace.messages.climb import CLIMB_FILE, FOLDER, Climb
from millrace.names import MACHINE_OF_FEED, WorkloadNames
from millrace.release.assisted import in_words, reviews_of
from millrace.state.audit import Record
from millrace.state.automation import Automation
from millrace.state.pointers import ReleasePointers, Version
from millrace.state.versions import FloorState, KeptPromise
from millrace.timestamps import format_utc
from millrace.workload.load import load_workload, workloads_folder
from millrace.workload.policy import Policy


@dataclass(frozen=True, kw_only=True)
class LivePeriod:
    """A stretch of time in which one version was live."""

    version: str
    since: datetime
    until: datetime | None
    """None: it still is."""
    approved_by: str
    """Who has approved the version; empty if nobody had to."""
    approval: str
    """Why, in the person's words."""
    rolled_back_by: str
    """Who has brought it back in place of a later version; empty for a release."""
    rollback: str
    """Why, in the person's words."""
    endpoint_config: str
    """The name of the endpoint's configuration."""
    execution: str
    """The name of the execution of `release` that made it live."""
    revision: int
    """The revision of the release pointers from then on."""


@dataclass(frozen=True, kw_only=True)
class Automates:
    """What of the decisions of a workload with a policy acts by itself."""

    policy: Policy
    threshold: float | None
    """The least confidence that acts, with costs the largest expected cost; None if none does or none is asked for."""
    is_live: bool
    """Whether any version is live."""
    switch: Automation
    floor: FloorState | None
    """How the live version and the naive rule compared last; None without a floor or before any labels."""

    @property
    def words(self) -> str:
        """For people: "from a confidence of 0.831 on", "nothing: paused since … by …: complaints"."""
        if self.switch.is_paused:
            person, why = self.switch.by.rpartition(":")[2], f": {self.switch.reason}" if self.switch.reason else ""
            return f"nothing: paused since {self.switch.since:%Y-%m-%d %H:%M} by {person}{why}"
        if not self.is_live:
            return "nothing: no version is live yet"
        if self.floor and self.floor.below:
            why = "until labels decide" if self.floor.awaits_labels else "as it does better"
            return f"nothing: the naive rule answers since {self.floor.since:%Y-%m-%d %H:%M}, {why}"
        return f"every answer; if not shadowed, {self._allowed}" if self.policy.shadowed else self._allowed

    @property
    def _allowed(self) -> str:
        if self.policy.automate is None:
            return "every answer within the policy's bounds"
        if costs := self.policy.costs:
            if self.threshold is None:
                return "nothing: the live version was evaluated with other costs"
            return f"up to an expected cost of {costs.review:g} {costs.currency}"
        if self.threshold is not None:
            return f"from a confidence of {self.threshold:.3f} on"
        return f"nothing: the live version has no confidence for an error of {self.policy.promised_error:.1%}"


def find_live(environment: Environment, names: WorkloadNames, at: datetime | None = None) -> LivePeriod:
    """The version that was live at this time; without a time the one that is. The workload may be gone since.

    Raises EnvironmentNotFoundError if none was."""
    periods = live_periods(find_records(environment, names))
    moment = at or environment.now()
    found = [one for one in periods if one.since <= moment and (one.until is None or moment < one.until)]
    if not found:
        told = f"the first went live {format_utc(periods[0].since)}" if periods else "the audit has no release"
        raise EnvironmentNotFoundError(
            f"--at: expected a time at which a version of {names.workload} was live, got {format_utc(moment)}: {told}"
        )
    return found[-1]


def live_periods(records: Iterable[Record]) -> list[LivePeriod]:
    """The periods in order of time. `records` may have any order."""
    records = list(records)
    approvals = {
        record.details.version: record.details
        for record in records
        if record.event is AuditEvent.RELEASE_APPROVED and isinstance(record.details, VersionDecided)
    }
    # A step that was retried may have written its record twice, with other figures: the first of a revision counts.
    moves: dict[int, tuple[VersionLive, str]] = {}
    for record in records:
        if isinstance(live := record.details, VersionLive):
            known = moves.get(live.revision)
            if known is None or live.live_at < known[0].live_at:
                moves[live.revision] = live, record.run
    # By the end of a teardown that has removed the endpoints, too.
    said = [(record.as_of, record.details) for record in records]
    gone = [at for at, one in said if isinstance(one, ResourcesRemoved) and one.step == "endpoints" and one.found]
    ends = [one.live_at for one, _ in moves.values()] + gone
    return [
        _period(live, execution, ends, approvals.get(live.version))
        for live, execution in sorted(moves.values(), key=lambda move: move[0].live_at)
    ]


def _period(live: VersionLive, execution: str, ends: Iterable[datetime], approval: VersionDecided | None) -> LivePeriod:
    back = live if isinstance(live, VersionRolledBack) else None
    return LivePeriod(
        version=live.version,
        since=live.live_at,
        until=min((at for at in ends if at > live.live_at), default=None),
        approved_by=approval.by if approval else "",
        approval=approval.reason if approval else "",
        rolled_back_by=back.by if back else "",
        rollback=back.reason if back else "",
        endpoint_config=live.endpoint_config,
        execution=execution,
        revision=live.revision,
    )


def find_automates(environment: Environment, names: WorkloadNames, champion: Version | None) -> Automates | None:
    """What of the workload's decisions is automated; None if it has no policy, or no folder here."""
    folder = workloads_folder() / names.workload
    policy = load_workload(folder).policy if (folder / "workload.yaml").exists() else None
    if policy is None:
        return None
    state = state_of(environment, names)
    kept = KeptPromise.find(state, champion.version) if champion else None
    threshold = threshold_of(policy.automate, champion, kept)
    floor = FloorState.find(state, champion.version) if policy.floor and champion else None
    is_live, switch = champion is not None, Automation.read(state)
    return Automates(policy=policy, threshold=threshold, is_live=is_live, switch=switch, floor=floor)


def declared_automates(environment: Environment, names: WorkloadNames) -> Automates:
    """What is automated with the live version. Raises WorkloadError for a workload without a policy."""
    found = find_automates(environment, names, ReleasePointers(state_of(environment, names)).champion())
    if found is None:
        where, expected = f"{names.workload}/workload.yaml", "which answers may act: automate, review_above or held_out"
        raise WorkloadError(where=where, field="policy", expected=expected, came="nothing")
    return found


def find_climb(environment: Environment, names: WorkloadNames) -> Climb | None:
    """The climb as its last look has left it; None if no version stands on a phase, or before the first look."""
    found = climbing_version(environment, names)
    if found is None:
        return None
    uri = names.lake_uri(FOLDER, found.version, found.execution.rpartition(":")[2], found.phase, CLIMB_FILE)
    body = find_object(environment.client("s3"), uri)
    climb = Climb.model_validate_json(body) if body else None
    return climb if climb and climb.looks else None


def read_climbs(s3: Any, names: WorkloadNames, version: str = "") -> Mapping[str, tuple[Climb, ...]]:
    """The climbs by version, of one version or of all; each as its last look has left it, if there was one."""
    bucket, prefix = split_uri(names.lake_uri(FOLDER, version, "") if version else names.lake_uri(FOLDER, ""))
    keys = [key for key in keys_below(s3, bucket, prefix) if key.endswith(f"/{CLIMB_FILE}")]
    found: dict[str, tuple[Climb, ...]] = {}
    for key in keys:
        climb = Climb.model_validate_json(read_object(s3, f"s3://{bucket}/{key}"))
        if climb.looks:
            found[climb.version] = (*found.get(climb.version, ()), climb)
    return found


def sentence_of(climb: Climb) -> str:
    """What is known of a climb, for a person: "2 of 61 labels show nothing yet; 15 of 384 answers differ"."""
    seen = "; ".join([climb.looks[-1].because, *evidence_of(climb)])
    return f"{climb.phase} since {climb.since:%Y-%m-%d %H:%M}: {seen}"


def evidence_of(climb: Climb) -> Iterator[str]:
    """The plan of a climb, and what came."""
    last, plan = climb.looks[-1], climb.plan
    yield f"{last.differing:,} of {last.pairs:,} answers differ from version {climb.champion}'s"
    if plan:
        power = f"who is better by {100 * plan.gain:.2g} points passes with a probability of 0.8, who is worse of 0.05"
        yield f"at most {count(plan.horizon, 'label')} decide, some {age(timedelta(days=plan.days))}: {power}"
    if climb.asked:
        waiting = sum(one.agreed is None for one in climb.asked)
        yield f"{in_words(reviews_of(climb))}; {waiting} have no answer"
    if climb.failed:
        yield f"{climb.failed:,} copies got no answer"


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

    listed: tuple[Run, ...]
    """The newest SEEN of each machine, the newest first."""
    newest: Execution | None
    """The newest that has ended."""
    failed: tuple[Execution, ...]
    """Runs that failed in the last WAITS_FOR: all of drops, of another machine only its newest."""

    @property
    def running(self) -> tuple[Run, ...]:
        return tuple(run for run in self.listed if run.status == "RUNNING")


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
    lost: str
    """Why the live version cannot answer, with the command that helps; empty if it can, or if nobody can say."""
    automates: Automates | Unread | None
    """None without a policy."""
    runs: RecentRuns | Unread
    freshness: tuple[Step, ...] | Unread
    alarms: tuple[AlarmState, ...] | Unread
    """Those that are on, of the workload and then of its stage."""
    waiting: WaitingDrops | Unread | None
    reviews: Waiting | Unread | None
    """Decisions that wait for a person; None without a policy."""
    agreement: str | Unread
    """The guideline and how far two people agree; empty without one and where no second one is asked."""
    unapproved: tuple[WaitingVersion, ...] | Unread
    """The versions that wait for a person, the newest first."""

    @property
    def live(self) -> str:
        """`version 3`, `version 3, ✗ its endpoint is gone: …`, `none yet`; why the pointers cannot be read."""
        if not isinstance(self.champion, Version):
            return self.champion.words if self.champion else "none yet"
        return f"version {self.champion.version}" + (f", ✗ {self.lost}" if self.lost else "")


Raised = Sequence[Mapping[str, Any]] | Unread
"""The alarms of a stage that are on, as CloudWatch describes them."""


def try_state(environment: Environment, names: WorkloadNames, raised: Raised) -> WorkloadState | UnreadWorkload:
    """The state of the workload, or why there is none: a mistake in one declaration hides no other workload."""
    try:
        now = environment.now()
        champion = part(lambda: ReleasePointers(state_of(environment, names)).read().champion)
        live = champion if isinstance(champion, Version) else None
        automates = part(lambda: find_automates(environment, names, live))
        lost = part(lambda: lost_endpoint(environment, names)) if live else ""
        runs = part(lambda: _runs(environment, names, now))
        listed = () if isinstance(runs, Unread) else runs.listed
        return WorkloadState(
            names=names,
            now=now,
            champion=champion,
            lost=lost if isinstance(lost, str) else "",
            automates=automates,
            runs=runs,
            freshness=part(lambda: tuple(find_freshness(environment, names, listed))),
            alarms=raised if isinstance(raised, Unread) else states_of(raised, names),
            waiting=part(lambda: read_waiting(environment, names)),
            reviews=part(lambda: find_waiting_reviews(environment, names, most=SEEN)) if automates else None,
            agreement=part(lambda: agreement_in_words(environment, names)) if automates else "",
            unapproved=part(lambda: find_waiting(environment, names)),
        )
    except FAILURES as error:
        return UnreadWorkload(workload=names.workload, why=unread(error))


def lost_endpoint(environment: Environment, names: WorkloadNames) -> str:
    """Why the endpoint of a live version does not answer, with the command that makes it anew; empty if it does.

    Empty for a workload whose function runs the version, as its folder here declares it."""
    folder = workloads_folder() / names.workload
    if (folder / "workload.yaml").exists() and load_workload(folder).rollout.has_no_endpoint:
        return ""
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
    ended = next((run for run in newest_first if run.status != "RUNNING"), None)
    # It is often one of those that failed, which is described once.
    described = {run.arn: read_execution(states, run) for run in {*filter(None, [ended]), *failed}}
    return RecentRuns(
        listed=tuple(newest_first),
        newest=described[ended.arn] if ended else None,
        failed=tuple(described[run.arn] for run in failed),
    )


UNKNOWN = "no model is live yet, or its endpoint fails"
"""The answer without the right to read the state."""


def why_fallback(environment: Environment, names: WorkloadNames) -> str:
    """That no version is live, or that the live one gave no answer; UNKNOWN to who may not look."""
    try:
        champion = ReleasePointers(state_of(environment, names)).champion()
        if champion is None:
            return "no model is live yet: `millrace status` says what is on its way"
        lost = lost_endpoint(environment, names) or "gave no answer: `millrace logs prediction` says why"
    except ClientError:
        return UNKNOWN
    return f"version {champion.version} is live, but {lost}"
