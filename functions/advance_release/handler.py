"""A version may answer: makes it the champion. The pointers move, and what older versions left goes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from millrace.aws.endpoints import count_requests, find_endpoint
from millrace.errors import AskerUnknownError, ConflictError, OvertakenError
from millrace.functions.advance_release.tidying import tidy
from millrace.functions.room import Room
from millrace.messages.audit import AuditEvent, VersionLive, VersionRolledBack
from millrace.messages.envelope import StepInput
from millrace.messages.release import LiveState, ReleaseAdvanced
from millrace.release.askers import NOBODY, UNKNOWN, Askers
from millrace.release.promotion import LEASE_DAYS, check_not_refused, promote, roll_back, version_of
from millrace.release.registry import Registry
from millrace.settings.environment import Environment
from millrace.state.pointers import Pointers, Version

ROOM = Room(Environment.parse(), __name__)
SAGEMAKER, CLOUDWATCH = boto3.client("sagemaker"), boto3.client("cloudwatch")
ASKERS = Askers(ROOM.names, states=boto3.client("stepfunctions"), trail=boto3.client("cloudtrail"))
REGISTRY = Registry(SAGEMAKER, group=ROOM.names.package_group)
LONGEST = timedelta(hours=12)
"""Longer than the update of an endpoint: SageMaker allows it 8 hours."""


@ROOM.handles(StepInput[LiveState])
def handler(call: StepInput[LiveState]) -> ReleaseAdvanced:
    """The revision of the pointers after the move, and how many requests the release's alarms have judged.

    Raises ConflictError if another execution has the lease by now. Raises OvertakenError if another release has moved
    the pointers or changed the endpoint: a release that failed and is redriven finds the endpoint back at the version
    before. Raises ConflictError too if the version was refused meanwhile: `cleanup` restores the one before."""
    until = call.state.as_of + timedelta(days=LEASE_DAYS)
    if not ROOM.leases.take("release", holder=call.execution_arn, as_of=call.state.as_of, expires_at=until):
        raise ConflictError(f"{call.execution_arn}: expected the lease of release, another execution took it meanwhile")
    # Under the lease no other release changes pointers or endpoint, so both are looked at now.
    endpoint = served(call.state.live_config.name) if call.state.live_config else None
    requests = watched_requests(endpoint) if endpoint else 0
    version = version_of(call.state, ROOM.names)
    before = ROOM.pointers.read()
    package = REGISTRY.describe(version.package_arn)
    check_not_refused(package)
    after = moved(call.state, before, version)
    # Mark it before the pointers move. If the execution is stopped in between, the registry no longer proves that no
    # version was ever live, so the new endpoint is not deleted as a leftover of a failed first release.
    REGISTRY.mark_live(package, execution=call.execution_arn)
    written = before if after == before else ROOM.pointers.move(after)
    live = VersionLive(
        version=version.version,
        revision=written.revision,
        watched_requests=requests,
        live_at=endpoint["LastModifiedTime"] if endpoint else datetime.now(UTC),
        endpoint_config=endpoint["EndpointConfigName"] if endpoint else "",
    )
    ROOM.audit(*outcome(call, live), call)
    tidy(ROOM, SAGEMAKER, call, written)
    return ReleaseAdvanced(revision=written.revision, watched_requests=requests)


def served(config: str) -> Mapping[str, Any]:
    """The live endpoint as SageMaker describes it.

    Raises OvertakenError if it has another configuration than this release gave it."""
    endpoint = find_endpoint(SAGEMAKER, ROOM.names.endpoint)
    came = endpoint["EndpointConfigName"] if endpoint else "nothing"
    if endpoint is None or came != config:
        raise OvertakenError(f"endpoint {ROOM.names.endpoint}: expected it to serve {config} still, got {came}")
    return endpoint


def watched_requests(endpoint: Mapping[str, Any]) -> int:
    """How many requests the endpoint's fleet has had while the alarms of its release watched it.

    They read the same metric. CloudWatch may have the last minute's requests later, so there may have been more."""
    changed = endpoint["LastModifiedTime"]
    # No other release has this configuration, so the time need not be exact.
    return count_requests(CLOUDWATCH, endpoint, start=changed - LONGEST, end=changed + LONGEST)


def moved(state: LiveState, pointers: Pointers, version: Version) -> Pointers:
    """The pointers with the version as champion: promoted, or brought back by a rollback."""
    replaced = state.start_release.answer.previous_version
    return (roll_back if state.rollback else promote)(pointers, version, replaced=replaced)


def asked_by(execution_arn: str, *, said: str) -> str:
    """Who started the rollback. `said` is what its input says, which is believed if a function or a rule wrote it."""
    try:
        asker = ASKERS.find(execution_arn)
    except (AskerUnknownError, ClientError, BotoCoreError):
        # The version is live already, and the record of it is not to be lost.
        asker = UNKNOWN
    return said if asker == NOBODY else f"{UNKNOWN} ({said} by its input)" if asker == UNKNOWN else asker


def outcome(call: StepInput[LiveState], live: VersionLive) -> tuple[AuditEvent, VersionLive]:
    """What the audit says of the release. That of a rollback also says who wanted it, why, and what it replaced."""
    state = call.state
    if state.rollback is None:
        return AuditEvent.RELEASE_LIVE, live
    return AuditEvent.RELEASE_ROLLED_BACK, VersionRolledBack(
        **live.model_dump(),
        by=asked_by(call.execution_arn, said=state.rollback.who),
        reason=state.rollback.reason,
        replaced=state.start_release.answer.previous_version,
    )
