"""What is known of versions on the phases of their releases that watch them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from console.environment import Environment
from console.queries.stored import find_object
from console.queries.versions import climbing_version
from console.words import age
from millrace.aws.objects import keys_below, read_object, split_uri
from millrace.messages.climb import CLIMB_FILE, FOLDER, Climb
from millrace.names import WorkloadNames
from millrace.release.assisted import in_words, reviews_of


def find_climb(environment: Environment, names: WorkloadNames) -> Climb | None:
    """The climb as its last look has left it; None if no version stands on a phase, or before the first look."""
    found = climbing_version(environment, names)
    if found is None:
        return None
    run = found.execution.rpartition(":")[2]
    uri = names.lake_uri(FOLDER, found.version, run, found.phase, CLIMB_FILE)
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
    last = climb.looks[-1]
    seen = f"{last.differing:,} of {last.pairs:,} answers differ from version {climb.champion}'s"
    planned = (
        f"; at most {climb.plan.horizon} labels decide, some {age(timedelta(days=climb.plan.days))}"
        if climb.plan
        else ""
    )
    failed = f"; {climb.failed:,} copies got no answer" if climb.failed else ""
    reviewed = f"; {reviewed_in_words(climb)}" if climb.asked else ""
    return f"{climb.phase} since {climb.since:%Y-%m-%d %H:%M}: {last.because}; {seen}{planned}{reviewed}{failed}"


def reviewed_in_words(climb: Climb) -> str:
    """What people have said who were asked: "2 of 2 agree beside its answer, 3 of 4 without it; 1 have no answer"."""
    waiting = sum(one.agreed is None for one in climb.asked)
    return f"{in_words(reviews_of(climb))}; {waiting} have no answer"
