"""Who answers from now on, the version or the naive rule, by what a monitor run has compared."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from millrace.messages.monitor import FloorFound
from millrace.state.versions import FloorState
from millrace.workload.policy import Floor


def decide(
    found: FloorFound | None,
    known: FloorState | None,
    floor: Floor | None,
    *,
    version: str,
    since: datetime | None,
    as_of: datetime,
) -> tuple[FloorState, FloorFound] | None:
    """What is kept of the version, and who answered before and answers now; None if nothing is to be kept.

    A later run's stays. If the rule answers since an alarm, labels of the time from `since` on decide, or the end of
    the alarm."""
    if known and known.as_of > as_of:
        return None
    waits = known is not None and known.awaits_labels
    if known and waits and since is None and found is None:
        found = FloorFound(below=False, before=True, labels=0, own=0, rule=0, days=known.days)
    if found is None:
        return None
    moved = found.model_copy(update={"before": found.before or waits})
    state = FloorState(version=version, below=found.below, since=as_of, as_of=as_of, days=found.days)
    if waits and since and floor and state.labels_since(since) < floor.labels:
        state, moved = replace(state, below=True, awaits_labels=True), moved.model_copy(update={"below": True})
    return (replace(state, since=known.since) if known and known.below == state.below else state), moved
