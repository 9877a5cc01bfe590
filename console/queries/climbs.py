"""The version that answers copies now, and what is known of it."""

from __future__ import annotations

from console.environment import Environment
from console.queries.stored import find_object
from console.queries.versions import state_of
from millrace.messages.climb import CLIMB_FILE, FOLDER, Climb
from millrace.names import WorkloadNames
from millrace.state.climbing import ClimbingVersion


def find_climb(environment: Environment, names: WorkloadNames) -> Climb | None:
    """The climb as its last look has left it; None if no version answers copies, or before the first look."""
    found = ClimbingVersion(state_of(environment, names)).read()
    if found is None:
        return None
    run = found.execution.rpartition(":")[2]
    uri = names.lake_uri(FOLDER, found.version, run, CLIMB_FILE)
    body = find_object(environment.client("s3"), uri)
    return Climb.model_validate_json(body) if body else None


def sentence_of(climb: Climb) -> str:
    """What is known of a climb, for a person: "2 of 61 labels show nothing yet; 15 of 384 answers differ"."""
    last = climb.looks[-1]
    seen = f"{last.differing:,} of {last.pairs:,} answers differ from version {climb.champion}'s"
    planned = f"; at most {climb.plan.horizon} labels decide, some {climb.plan.days:.0f} days" if climb.plan else ""
    failed = f"; {climb.failed:,} copies got no answer" if climb.failed else ""
    return f"{climb.phase} since {climb.since:%Y-%m-%d %H:%M}: {last.because}; {seen}{planned}{failed}"
