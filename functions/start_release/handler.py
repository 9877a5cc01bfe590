"""A release begins: the lease, the package, and what stands already under the two endpoint names."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from functions.start_release.endpoints import standing
from functions.start_release.request import Opening, answer, label_of
from millrace.errors import ArtefactError, ConflictError
from millrace.messages.envelope import StepInput
from millrace.release.promotion import LEASE_DAYS, ROLLBACK_PHASES, check_proven, outcome_of, rollback_target
from millrace.release.registry import Package, Registry
from millrace.settings.start_release import StartReleaseSettings
from millrace.state.table import Pointers, State

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = StartReleaseSettings.parse()
NAMES = SETTINGS.names
LOGGER = Logger()
SAGEMAKER = boto3.client("sagemaker")
STATE = State(boto3.client("dynamodb"), table=NAMES.platform.state_table, workload=SETTINGS.workload)
REGISTRY = Registry(SAGEMAKER, group=NAMES.package_group)


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """The outcome (`open`, `busy`: come again, `done`: is or was live), the package, and what stands.

    Raises ConflictError for a rollback that cannot be: nothing to go back to, or a release runs."""
    call = StepInput[Opening].model_validate(event)
    asked, pointers = call.state, STATE.pointers()
    package = find_package(asked, pointers)
    until = asked.as_of + timedelta(days=LEASE_DAYS)
    leased = STATE.take_lease("release", holder=call.execution, as_of=asked.as_of, expires_at=until)
    if asked.rollback and not leased:
        lease = STATE.lease("release")
        raise ConflictError(f"roll back: expected no release to run, {lease.holder if lease else 'another'} does")
    live, challenger = (standing(SAGEMAKER, name) for name in (NAMES.endpoint, NAMES.challenger))
    ready = leased and "changing" not in (live, challenger)
    return answer(
        package,
        pointers,
        label=label_of(package.version, call.execution),
        phases=ROLLBACK_PHASES if asked.rollback else asked.rollout.phases,
        outcome=("open" if ready else "busy") if asked.rollback else outcome_of(pointers, package.version, ready=ready),
        live=live,
        challenger=challenger,
    )


def find_package(asked: Opening, pointers: Pointers) -> Package:
    """The package that was registered, or the one to go back to."""
    if asked.rollback:
        target = rollback_target(pointers, asked.rollback.to)
        package = REGISTRY.describe(NAMES.package_arn(target))
        check_proven(package.version, package.approval)
        return package
    assert asked.detail is not None
    package = REGISTRY.describe(asked.detail.package_arn)
    if f"/{NAMES.package_group}/" not in package.arn:
        raise ArtefactError(f"{package.arn}: expected a package of {NAMES.package_group}")
    return package
