"""Which version was live when: from the audit records of releases, rollbacks and teardowns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from console.environment import Environment
from console.queries.audit_records import find_records
from millrace.errors import EnvironmentNotFoundError
from millrace.messages.audit import AuditEvent, ResourcesRemoved, VersionDecided, VersionLive, VersionRolledBack
from millrace.names import WorkloadNames
from millrace.state.audit import Record
from millrace.timestamps import format_utc


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
    ends = [one.live_at for one, _ in moves.values()] + [record.as_of for record in records if _is_end(record)]
    return [
        _period(live, execution, ends, approvals.get(live.version))
        for live, execution in sorted(moves.values(), key=lambda move: move[0].live_at)
    ]


def _is_end(record: Record) -> bool:
    """Whether a teardown has removed the endpoints."""
    details = record.details
    return isinstance(details, ResourcesRemoved) and details.step == "endpoints" and bool(details.found)


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
