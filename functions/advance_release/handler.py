"""A version is live: the pointers move by compare-and-set, the package is approved."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from functions.advance_release.version import Conclusion, version_of
from millrace.errors import ConflictError
from millrace.release.promotion import LEASE_DAYS, promote, roll_back
from millrace.release.registry import Registry
from millrace.settings.advance_release import AdvanceReleaseSettings
from millrace.state.audit import Record, append
from millrace.state.table import Pointers, State, Version

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = AdvanceReleaseSettings.parse()
NAMES = SETTINGS.names
LOGGER = Logger()
DYNAMODB = boto3.client("dynamodb")
STATE = State(DYNAMODB, table=NAMES.platform.state_table, workload=SETTINGS.workload)
REGISTRY = Registry(boto3.client("sagemaker"), group=NAMES.package_group)


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """The pointers' revision. Raises ConflictError when the lease or the pointers are another's now."""
    call = Conclusion.model_validate(event)
    as_of = call.state.as_of
    until = as_of + timedelta(days=LEASE_DAYS)
    if not STATE.take_lease("release", holder=call.execution, as_of=as_of, expires_at=until):
        raise ConflictError(f"{call.execution}: expected the lease of release, another execution took it meanwhile")
    version = version_of(call, NAMES)
    before = STATE.pointers()
    after = moved(call, before, version)
    REGISTRY.approve(REGISTRY.describe(version.package_arn), reason=f"released by {call.execution}")
    written = before if after == before else STATE.move(after)
    record = Record(
        who=f"advance_release of {call.execution}",
        what="release.rolled_back" if call.state.rollback else "release.live",
        as_of=as_of,
        cause=call.state.cause,
        details={"version": version.version, "revision": written.revision} | rollback_details(call),
    )
    append(DYNAMODB, table=NAMES.platform.audit_table, workload=SETTINGS.workload, record=record)
    return {"revision": written.revision}


def moved(call: Conclusion, pointers: Pointers, version: Version) -> Pointers:
    if call.state.rollback:
        return roll_back(pointers, version, replaced=call.state.start_release.answer.previous_version)
    return promote(pointers, version)


def rollback_details(call: Conclusion) -> dict[str, str]:
    """Who wanted it, why, and which version went."""
    if call.state.rollback is None:
        return {}
    replaced = call.state.start_release.answer.previous_version
    return {"by": call.state.rollback.who, "reason": call.state.rollback.reason, "replaced": replaced}
