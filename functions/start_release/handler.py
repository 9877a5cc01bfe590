"""Starts a release: takes the lease, reads the package and looks at the two endpoints."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import boto3
from aws_lambda_powertools import Logger

from millrace.aws.endpoints import served_model
from millrace.aws.objects import read_object
from millrace.errors import ArtefactError, ConflictError, EndpointChangingError
from millrace.evaluation.report import EVALUATION_FILE
from millrace.functions.start_release.endpoints import standing
from millrace.functions.start_release.request import label_of, rule_answer, started
from millrace.messages.audit import AuditEvent, VersionDecided
from millrace.messages.envelope import StepInput, handles
from millrace.messages.release import ReleaseInput, ReleaseOutcome, ReleaseStarted, Rollback, Turn
from millrace.names import LIVE
from millrace.release.promotion import (
    LEASE_DAYS,
    ROLLBACK_PHASES,
    PromotionVerdict,
    check_proven,
    outcome_of,
    outdated_by,
    rollback_target,
    verdict_of,
)
from millrace.release.registry import APPROVED, Package, Registry
from millrace.release.signatures import SigningKey, check_signature, is_signed
from millrace.release.waking import wake
from millrace.settings.release import ReleaseSettings
from millrace.state.asleep import Asleep
from millrace.state.audit import Record, append
from millrace.state.climbing import Climbing
from millrace.state.leases import Leases
from millrace.state.pointers import CanaryVersion, Pointers, ReleasePointers
from millrace.state.table import StateTable
from millrace.workload.load import load_workload

SETTINGS = ReleaseSettings.parse()
NAMES = SETTINGS.names
WORKLOAD = load_workload(SETTINGS.folder)
LOGGER = Logger()
SAGEMAKER = boto3.client("sagemaker")
DYNAMODB = boto3.client("dynamodb")
STATE = StateTable(DYNAMODB, NAMES)
POINTERS, LEASES = ReleasePointers(STATE), Leases(STATE)
REGISTRY = Registry(SAGEMAKER, group=NAMES.package_group)
S3 = boto3.client("s3")
KEY = SigningKey(boto3.client("kms"), NAMES.platform.signing_key_alias)


@LOGGER.inject_lambda_context
@handles(StepInput[ReleaseInput])
def handler(call: StepInput[ReleaseInput]) -> ReleaseStarted:
    """What the release does next (`ReleaseOutcome`), its package, and which endpoints exist.

    Raises EndpointChangingError for some minutes: while SageMaker changes an endpoint, or while the sweep or `cleanup`
    holds the lease to delete one. The machine looks again.
    Raises ConflictError for a rollback without a version to go back to, for a rollback while a release runs, for a
    live endpoint that can be neither updated nor deleted without a person, and for other phases than the declared ones.
    Raises ArtefactError if the signature of the version is wrong. A missing signature is allowed only for the live
    version that is to be restored."""
    # 1. The package, and its signature.
    given, pointers = call.state, POINTERS.read()
    check_phases(given)
    package = find_package(given, pointers)
    # The live version may have been registered before versions were signed. If it were not restored for that, the
    # endpoint would go on serving a version that was never promoted. A wrong signature is refused in any case.
    restores = given.rollback is not None and given.rollback.restores
    if not restores or is_signed(S3, NAMES, package):
        check_signature(S3, KEY, NAMES, package)
    # 2. What people have said. A version that waits for a person holds up no other: it takes no lease.
    verdict = PromotionVerdict()
    if given.rollback is None and outcome_of(pointers, package.version, turn="open") == "open":
        verdict = judge(package, pointers)
        record(call, package, verdict)
        if verdict.refusal and package.approval == APPROVED:
            REGISTRY.reopen(package, reason=verdict.refusal)  # another person may still approve it
    # 3. The lease. Everything after it is only looked at if this release has its turn.
    until, is_decided = given.as_of + timedelta(days=LEASE_DAYS), not (verdict.waits or verdict.refusal)
    take = partial(LEASES.take, "release", holder=call.execution_arn, as_of=given.as_of, expires_at=until)
    leased = is_decided and (take() or (overtakes(given, pointers, package) and take()))
    turn: Turn = "open" if leased else "busy"
    if leased:
        LEASES.free(package.arn)  # the lease `first`, which its registration took
        pointers = POINTERS.read()  # under the lease nobody else moves them
    elif is_decided:
        turn = turn_behind_holder(given.rollback)
    elif verdict.refusal and package.approval != APPROVED:
        LEASES.free(package.arn)  # another first training may start
    # 4. The endpoints, then what the release does next.
    live = standing(SAGEMAKER, NAMES.endpoint, serves=True) if leased else "absent"
    challenger = standing(SAGEMAKER, NAMES.challenger, serves=False) if leased else "absent"
    outcome = outcome_for(given, pointers, package.version, turn=turn)
    # A rollback is compared with nothing: it brings back a version that was live.
    refusal = verdict.refusal
    if not is_decided:
        outcome = "refused" if refusal else "unapproved"
    elif outcome == "open" and given.rollback is None:
        refusal = outdated_by(pointers, beside=package.metadata.get("beside", ""), was_live=package.was_live)
        outcome = "outdated" if refusal else outcome
    sleeping_config = sleeping(given, pointers) if outcome == "open" and live == "absent" else ""
    if sleeping_config and given.rollback is None:
        # A new version is watched beside the one that serves, so its turn comes once that one is awake.
        run, cause, connect = call.execution_arn, call.state.cause, partial(boto3.client, "events")
        wake(STATE, NAMES, run=run, cause=cause, at=datetime.now(UTC), connect=connect)
        LEASES.free(call.execution_arn)
        outcome = "busy"
    elif sleeping_config:
        outcome = "asleep"
    if outcome == "open" and given.rollback and challenger == "in_service":
        answer_at_once(package.version, execution=call.execution_arn)
    if outcome == "open" and "changing" in (live, challenger):
        changing = NAMES.endpoint if live == "changing" else NAMES.challenger
        raise EndpointChangingError(f"endpoint {changing}: expected one that SageMaker does not change now")
    return started(
        package,
        pointers,
        label=label_of(package.version, call.execution_arn),
        phases=ROLLBACK_PHASES if given.rollback else given.rollout.phases,
        outcome=outcome,
        refusal=refusal,
        live=live,
        challenger=challenger,
        rule_answer=find_rule_answer(package),
        approval_hours=WORKLOAD.rollout.approval_hours,
        sleeping_config=sleeping_config,
        keeps_warm=WORKLOAD.rollout.warm_hours > 0 and given.rollback is None,
    )


def check_phases(given: ReleaseInput) -> None:
    """Raise ConflictError for the release of a registered version with other phases than the declared ones.

    An input must not skip a phase that watches the version, nor may a release that began before the phase was deployed:
    the machine has no states for it then. A rollback has no phases of its own."""
    expected, came = list(WORKLOAD.rollout.phases), list(given.rollout.phases)
    if given.rollback is None and came != expected:
        advice = "leave rollout out of the input, and start the release again"
        raise ConflictError(f"rollout.phases: expected {expected} as declared and deployed, got {came}; {advice}")


def judge(package: Package, pointers: Pointers) -> PromotionVerdict:
    """What people have said about the version."""
    if package.was_live and pointers.champion is None:
        return PromotionVerdict()  # it is brought back, since the pointers were lost
    return verdict_of(package, approval=SETTINGS.approval, own_roles=NAMES.sessions)


def record(call: StepInput[ReleaseInput], package: Package, verdict: PromotionVerdict) -> None:
    """Keep in the audit who has approved or refused the version. A repeated call adds nothing."""
    if not (verdict.approved_by or verdict.refusal):
        return
    # What a refusal says stands without the words who refused: `by` says that.
    reason = package.said if package.refusal else verdict.refusal or package.said
    kept = Record(
        actor="start_release",
        execution_arn=call.execution_arn,
        event=AuditEvent.RELEASE_REFUSED if verdict.refusal else AuditEvent.RELEASE_APPROVED,
        as_of=call.state.as_of,
        cause=call.state.cause,
        details=VersionDecided(version=package.version, by=package.changed_by, reason=reason),
    )
    append(DYNAMODB, table=NAMES.platform.audit_table, workload=SETTINGS.workload, record=kept)


def find_rule_answer(package: Package) -> str:
    """What the naive rule answers in place of the version; empty if the workload does not let it answer."""
    if "rule" not in WORKLOAD.prediction.fallback:
        return ""
    uri = NAMES.run_uri(package.metadata["run"], "evaluation", EVALUATION_FILE)
    return rule_answer(read_object(S3, uri), package)


def overtakes(given: ReleaseInput, pointers: Pointers, package: Package) -> bool:
    """Whether the holder of the lease only watches a version that is live already, and has lost the lease to this one.

    The endpoint of the version before is this release's then. A release that would change nothing waits."""
    if given.rollback:
        changes = not is_served(given, pointers)
    else:
        beside = package.metadata.get("beside", "")
        changes = outcome_of(pointers, package.version, turn="open") == "open" and not outdated_by(
            pointers, beside=beside, was_live=package.was_live
        )
    lease, climbing = LEASES.find("release"), Climbing.find(STATE)
    if not (changes and lease and climbing and climbing.phase == LIVE and climbing.execution == lease.holder):
        return False
    POINTERS.end_canary(lease.holder)
    Climbing.remove(STATE, lease.holder)
    return bool(LEASES.free(lease.holder))


def answer_at_once(version: str, *, execution: str) -> None:
    """Let the version before answer all requests until the live endpoint serves it, if it is still warm."""
    pointers = POINTERS.read()
    previous = pointers.previous
    if previous and previous.version == version and served_model(SAGEMAKER, NAMES.challenger) == previous.model_name:
        POINTERS.move(replace(pointers, canary=CanaryVersion(version=previous, share=1.0, execution=execution)))


def is_served(given: ReleaseInput, pointers: Pointers) -> bool:
    """Whether the live version is to be restored, and the endpoint serves it."""
    champion = pointers.champion
    if given.rollback is None or not given.rollback.restores or champion is None:
        return False
    return served_model(SAGEMAKER, NAMES.endpoint) == champion.model_name


def turn_behind_holder(rollback: Rollback | None) -> Turn:
    """`behind` if the holder of the lease is a version that answers copies, else `busy`.

    Raises an error if the release must not wait an hour for the holder.

    EndpointChangingError if a function holds it for a moment, or a version that answers copies: its release is stopped
    for a rollback, since what it is compared with will not be live. ConflictError if a release holds it and
    this is the rollback of a person: it must not be carried out hours after it was started."""
    lease = LEASES.find("release")
    holder = lease.holder if lease else "another"
    if ":execution:" not in holder:
        raise EndpointChangingError(f"endpoint {NAMES.challenger}: expected no lease of release, {holder} has it")
    climbing = Climbing.find(STATE)
    climbs = climbing is not None and climbing.execution == holder
    if rollback and climbing and climbs and climbing.phase != LIVE:
        # Made here alone: every release would wait for it at a cold start.
        states = boto3.client("stepfunctions")
        states.stop_execution(executionArn=holder, error="Overtaken", cause="another version was brought back")
        raise EndpointChangingError(f"endpoint {NAMES.challenger}: {holder} leaves it now")
    if rollback and not rollback.restores:
        raise ConflictError(f"roll back: expected no release to run, {holder} does")
    return "behind" if climbs else "busy"


def outcome_for(given: ReleaseInput, pointers: Pointers, version: str, *, turn: Turn) -> ReleaseOutcome:
    """What the release does next, apart from `outdated`.

    A release that restores is `done` if the endpoint serves the live version and no other release runs."""
    if given.rollback is None:
        return outcome_of(pointers, version, turn=turn)
    return "done" if turn == "open" and is_served(given, pointers) else turn


def sleeping(given: ReleaseInput, pointers: Pointers) -> str:
    """The configuration by which the endpoint serves the live version again; empty if it is not asleep.

    Empty for a rollback to another version too: it makes the endpoint anew."""
    asleep = Asleep.find(STATE)
    wants_live = given.rollback is None or given.rollback.restores
    is_live = asleep and pointers.champion and asleep.version == pointers.champion.version
    return asleep.config if asleep and is_live and wants_live else ""


def find_package(given: ReleaseInput, pointers: Pointers) -> Package:
    """The package that was registered, or the package that a rollback goes back to.

    Raises ConflictError if a rollback has no such version, ArtefactError if the package belongs to another workload."""
    if given.rollback:
        target = rollback_target(pointers, given.rollback.to, restores=given.rollback.restores)
        package = REGISTRY.describe(NAMES.package_arn(target))
        check_proven(package, pointers)
        return package
    assert given.detail is not None
    package = REGISTRY.describe(given.detail.package_arn)
    if f"/{NAMES.package_group}/" not in package.arn:
        raise ArtefactError(f"{package.arn}: expected a package of {NAMES.package_group}")
    return package
