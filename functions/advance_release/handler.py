"""A version is live at the endpoint: makes it the champion. The pointers move, and the package is approved."""

from __future__ import annotations

from datetime import timedelta

import boto3
from aws_lambda_powertools import Logger

from functions.advance_release.version import version_of
from millrace.aws.endpoints import find_endpoint
from millrace.errors import ConflictError, OvertakenError
from millrace.messages.audit import AuditEvent, VersionLive, VersionRolledBack
from millrace.messages.envelope import StepInput, handles
from millrace.messages.release import LiveState, ReleaseAdvanced
from millrace.release.promotion import LEASE_DAYS, promote, roll_back
from millrace.release.registry import Registry
from millrace.settings.environment import Environment
from millrace.state.audit import Record, append
from millrace.state.leases import Leases
from millrace.state.pointers import Pointers, ReleasePointers, Version
from millrace.state.table import StateTable

SETTINGS = Environment.parse()
NAMES = SETTINGS.names
LOGGER = Logger()
DYNAMODB = boto3.client("dynamodb")
STATE = StateTable(DYNAMODB, NAMES)
POINTERS, LEASES = ReleasePointers(STATE), Leases(STATE)
SAGEMAKER = boto3.client("sagemaker")
REGISTRY = Registry(SAGEMAKER, group=NAMES.package_group)


@LOGGER.inject_lambda_context
@handles(StepInput[LiveState])
def handler(call: StepInput[LiveState]) -> ReleaseAdvanced:
    """The revision of the pointers after the move.

    Raises ConflictError if another execution has the lease by now. Raises OvertakenError if another release has moved
    the pointers or changed the endpoint: a release that failed and is redriven finds the endpoint back at the version
    before."""
    as_of = call.state.as_of
    until = as_of + timedelta(days=LEASE_DAYS)
    if not LEASES.take("release", holder=call.execution_arn, as_of=as_of, expires_at=until):
        raise ConflictError(f"{call.execution_arn}: expected the lease of release, another execution took it meanwhile")
    # Under the lease no other release changes pointers or endpoint, so both are looked at now.
    check_served(call.state.live_config.name)
    version = version_of(call.state, NAMES)
    before = POINTERS.read()
    after = moved(call.state, before, version)
    # Approve before the pointers move. If the execution is stopped in between, the registry no longer proves that no
    # version was ever live, so the new endpoint is not deleted as a leftover of a failed first release.
    REGISTRY.approve(REGISTRY.describe(version.package_arn), reason=f"released by {call.execution_arn}")
    written = before if after == before else POINTERS.move(after)
    kept = record(call, version=version.version, revision=written.revision)
    append(DYNAMODB, table=NAMES.platform.audit_table, workload=SETTINGS.workload, record=kept)
    return ReleaseAdvanced(revision=written.revision)


def check_served(config: str) -> None:
    """Raise OvertakenError if the live endpoint has another configuration than this release gave it."""
    endpoint = find_endpoint(SAGEMAKER, NAMES.endpoint)
    came = endpoint["EndpointConfigName"] if endpoint else "nothing"
    if came != config:
        raise OvertakenError(f"endpoint {NAMES.endpoint}: expected it to serve {config} still, got {came}")


def moved(state: LiveState, pointers: Pointers, version: Version) -> Pointers:
    """The pointers with the version as champion: promoted, or brought back by a rollback."""
    replaced = state.start_release.answer.previous_version
    return (roll_back if state.rollback else promote)(pointers, version, replaced=replaced)


def record(call: StepInput[LiveState], *, version: str, revision: int) -> Record:
    """The audit record of the release. That of a rollback also says who wanted it, why, and what it replaced."""
    state, event, details = call.state, AuditEvent.RELEASE_LIVE, VersionLive(version=version, revision=revision)
    if state.rollback:
        event = AuditEvent.RELEASE_ROLLED_BACK
        details = VersionRolledBack(
            version=version,
            revision=revision,
            by=state.rollback.who,
            reason=state.rollback.reason,
            replaced=state.start_release.answer.previous_version,
        )
    return Record(
        actor="advance_release",
        execution_arn=call.execution_arn,
        event=event,
        as_of=state.as_of,
        cause=state.cause,
        details=details,
    )
