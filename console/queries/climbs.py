"""The version that stands on a phase of its release, and what is known of it."""

from __future__ import annotations

from console.environment import Environment
from console.queries.stored import find_object
from console.queries.versions import climbing_version
from millrace.messages.climb import CLIMB_FILE, FOLDER, Climb
from millrace.names import WorkloadNames


def find_climb(environment: Environment, names: WorkloadNames) -> Climb | None:
    """The climb as its last look has left it; None if no version stands on a phase, or before the first look."""
    found = climbing_version(environment, names)
    if found is None:
        return None
    run = found.execution.rpartition(":")[2]
    uri = names.lake_uri(FOLDER, found.version, run, found.phase, CLIMB_FILE)
    body = find_object(environment.client("s3"), uri)
    return Climb.model_validate_json(body) if body else None


def sentence_of(climb: Climb) -> str:
    """What is known of a climb, for a person: "2 of 61 labels show nothing yet; 15 of 384 answers differ"."""
    last = climb.looks[-1]
    seen = f"{last.differing:,} of {last.pairs:,} answers differ from version {climb.champion}'s"
    planned = f"; at most {climb.plan.horizon} labels decide, some {climb.plan.days:.0f} days" if climb.plan else ""
    failed = f"; {climb.failed:,} copies got no answer" if climb.failed else ""
    return f"{climb.phase} since {climb.since:%Y-%m-%d %H:%M}: {last.because}; {seen}{planned}{failed}"
