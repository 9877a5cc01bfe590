"""The turn of a release, which has the lease or waits for the one that has it; and what stands at an endpoint."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Literal

import boto3

from millrace.aws.endpoints import BROKEN, CHANGING, find_endpoint
from millrace.errors import ConflictError, EndpointChangingError
from millrace.functions.room import Room
from millrace.messages.envelope import StepInput
from millrace.messages.release import ReleaseInput, Turn
from millrace.names import LIVE
from millrace.release.promotion import LEASE_DAYS
from millrace.settings.release import ReleaseSettings
from millrace.state.climbing import Climbing


def take_turn(room: Room[ReleaseSettings], call: StepInput[ReleaseInput], *, changes: Callable[[], bool]) -> Turn:
    """`open` if the release has the lease now, `behind` if its holder answers copies, else `busy`.

    `changes` says whether the release would change what is live. Then it takes the lease over from one that only
    watches a version that is live already: the endpoint of the version before is this release's then.

    Raises an error if the release must not wait an hour for the holder.
    EndpointChangingError if a function holds it for a moment, or a version that answers copies: its release is stopped
    for a rollback, since what it is compared with will not be live. ConflictError if a release holds it and
    this is the rollback of a person: it must not be carried out hours after it was started."""
    given = call.state
    until = given.as_of + timedelta(days=LEASE_DAYS)
    take = partial(room.leases.take, "release", holder=call.execution_arn, as_of=given.as_of, expires_at=until)
    if take() or (_overtake(room, changes) and take()):
        return "open"
    lease, challenger = room.leases.find("release"), room.names.challenger
    holder = lease.holder if lease else "another"
    if ":execution:" not in holder:
        raise EndpointChangingError(f"endpoint {challenger}: expected no lease of release, {holder} has it")
    climbing = Climbing.find(room.state)
    climbs = climbing is not None and climbing.execution == holder
    if given.rollback and climbing and climbs and climbing.phase != LIVE:
        # Made here alone: every release would wait for it at a cold start.
        states = boto3.client("stepfunctions")
        states.stop_execution(executionArn=holder, error="Overtaken", cause="another version was brought back")
        raise EndpointChangingError(f"endpoint {challenger}: {holder} leaves it now")
    if given.rollback and not given.rollback.restores:
        raise ConflictError(f"roll back: expected no release to run, {holder} does")
    return "behind" if climbs else "busy"


def _overtake(room: Room[ReleaseSettings], changes: Callable[[], bool]) -> bool:
    """Take the lease from a holder that only watches a live version, if this changes it. Whether it had it."""
    lease, climbing = room.leases.find("release"), Climbing.find(room.state)
    if not (lease and climbing and climbing.phase == LIVE and climbing.execution == lease.holder and changes()):
        return False
    room.pointers.end_canary(lease.holder)
    Climbing.remove(room.state, lease.holder)
    return bool(room.leases.free(lease.holder))


Standing = Literal["absent", "in_service", "changing"]
"""`absent`: the release makes it. `in_service`: the release updates it. `changing`: the release waits."""


def standing(client: Any, name: str, *, serves: bool) -> Standing:
    """Whether the endpoint can be used. One that can be neither used nor updated is deleted, and counts as `changing`.

    `serves` says whether callers use the endpoint. Such a broken endpoint may still answer some of them, so a person
    must decide whether it goes: this raises ConflictError. Only if its status is `Failed` does it answer nobody, and
    is deleted."""
    found = find_endpoint(client, name)
    if found is None:
        return "absent"
    status = found["EndpointStatus"]
    if status in CHANGING:
        return "changing"
    if status not in BROKEN:
        return "in_service"
    if serves and status != "Failed":
        advice = "delete it, and release or roll back again"
        raise ConflictError(f"endpoint {name}: expected a status that can be updated, got {status}; {advice}")
    client.delete_endpoint(EndpointName=name)
    return "changing"
