"""Start a release: take the lease, read the package and the two endpoints."""

from __future__ import annotations

from datetime import timedelta

import boto3
from aws_lambda_powertools import Logger

from functions.start_release.endpoints import Standing, standing
from functions.start_release.request import label_of, started
from millrace.aws.endpoints import served_model
from millrace.errors import ArtefactError, ConflictError
from millrace.messages.envelope import StepInput, handles
from millrace.messages.release import ReleaseInput, ReleaseOutcome, ReleaseStarted, Rollback, Turn
from millrace.release.promotion import LEASE_DAYS, ROLLBACK_PHASES, check_proven, outcome_of, rollback_target
from millrace.release.registry import Package, Registry
from millrace.release.signatures import SigningKey, check_signature, is_signed
from millrace.settings.environment import Environment
from millrace.state.leases import Leases
from millrace.state.pointers import Pointers, ReleasePointers
from millrace.state.table import StateTable

SETTINGS = Environment.parse()
NAMES = SETTINGS.names
LOGGER = Logger()
SAGEMAKER = boto3.client("sagemaker")
STATE = StateTable(boto3.client("dynamodb"), NAMES)
POINTERS, LEASES = ReleasePointers(STATE), Leases(STATE)
REGISTRY = Registry(SAGEMAKER, group=NAMES.package_group)
S3 = boto3.client("s3")
KEY = SigningKey(boto3.client("kms"), NAMES.platform.signing_key_alias)


@LOGGER.inject_lambda_context
@handles(StepInput[ReleaseInput])
def handler(call: StepInput[ReleaseInput]) -> ReleaseStarted:
    """The outcome (`open`, `busy` and `changing`: try again, `done`: is or was live), the package, and the endpoints.

    Raises ConflictError for a rollback that cannot be: nothing to go back to, or a release runs; for a live
    endpoint that can be neither updated nor deleted without a person; ArtefactError for a
    version whose signature is wrong, or absent where the live version is not merely restored."""
    given, pointers = call.state, POINTERS.read()
    package = find_package(given, pointers)
    # The live version may be from before versions were signed: without its restoration the endpoint would go on serving
    # one that was never promoted. A wrong signature is refused in any case.
    restores = given.rollback is not None and given.rollback.restores
    if not restores or is_signed(S3, NAMES, package):
        check_signature(S3, KEY, NAMES, package)
    until = given.as_of + timedelta(days=LEASE_DAYS)
    leased = LEASES.take("release", holder=call.execution, as_of=given.as_of, expires_at=until)
    if given.rollback and not leased:
        lease = LEASES.find("release")
        raise ConflictError(f"roll back: expected no release to run, {lease.holder if lease else 'another'} does")
    live = standing(SAGEMAKER, NAMES.endpoint, serves=True) if leased else "changing"
    challenger = standing(SAGEMAKER, NAMES.challenger, serves=False) if leased else "changing"
    turn = turn_of(leased, live, challenger)
    return started(
        package,
        pointers,
        label=label_of(package.version, call.execution),
        phases=ROLLBACK_PHASES if given.rollback else given.rollout.phases,
        outcome=rollback_outcome(given.rollback, pointers, turn=turn)
        if given.rollback
        else outcome_of(pointers, package.version, turn=turn),
        live=live,
        challenger=challenger,
    )


def turn_of(leased: bool, *endpoints: Standing) -> Turn:
    """Another's release may take weeks, a change of an endpoint takes minutes."""
    if not leased:
        return "busy"
    return "changing" if "changing" in endpoints else "open"


def rollback_outcome(rollback: Rollback, pointers: Pointers, *, turn: Turn) -> ReleaseOutcome:
    """One that restores is done where the endpoint serves the live version: SageMaker brought it back by itself."""
    champion = pointers.champion
    if rollback.restores and champion and served_model(SAGEMAKER, NAMES.endpoint) == champion.model_name:
        return "done"
    return turn


def find_package(given: ReleaseInput, pointers: Pointers) -> Package:
    """The package that was registered, or the one to go back to."""
    if given.rollback:
        target = rollback_target(pointers, given.rollback.to, restores=given.rollback.restores)
        package = REGISTRY.describe(NAMES.package_arn(target))
        check_proven(package.version, package.approval)
        return package
    assert given.detail is not None
    package = REGISTRY.describe(given.detail.package_arn)
    if f"/{NAMES.package_group}/" not in package.arn:
        raise ArtefactError(f"{package.arn}: expected a package of {NAMES.package_group}")
    return package
