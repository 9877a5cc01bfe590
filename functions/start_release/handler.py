"""Starts a release: takes the lease, reads the package and looks at the two endpoints."""

from __future__ import annotations

import boto3

from millrace.aws.endpoints import find_model, served_model
from millrace.errors import EndpointChangingError
from millrace.functions.room import WorkloadRoom
from millrace.functions.start_release.request import Versions, check_phases, label_of, started
from millrace.functions.start_release.turns import standing, take_turn
from millrace.messages.envelope import StepInput
from millrace.messages.release import ReleaseInput, ReleaseStarted, Turn
from millrace.release.promotion import ROLLBACK_PHASES, opening
from millrace.release.registry import APPROVED, Registry
from millrace.settings.release import ReleaseSettings
from millrace.state.own_secrets import PSEUDONYM, own_secret
from millrace.state.pointers import Pointers

ROOM = WorkloadRoom(ReleaseSettings.parse(), __name__)
NAMES = ROOM.names
SAGEMAKER = boto3.client("sagemaker")
VERSIONS = Versions(ROOM, Registry(SAGEMAKER, group=NAMES.package_group))


@ROOM.handles(StepInput[ReleaseInput])
def handler(call: StepInput[ReleaseInput]) -> ReleaseStarted:
    """What the release does next (`ReleaseOutcome`), its package, and which endpoints exist.

    Raises EndpointChangingError for some minutes: while SageMaker changes an endpoint, or while the sweep or `cleanup`
    holds the lease to delete one. The machine looks again.
    Raises ConflictError for a rollback without a version to go back to, for a rollback while a release runs, for a
    live endpoint that can be neither updated nor deleted without a person, and for other phases than the declared ones.
    Raises what `Versions.find` raises."""
    # An erasure is repeated after a backup came back if the backup has the secret of its pseudonyms. Who is decided on
    # is in the state, so the secret is there before.
    own_secret(ROOM.state, PSEUDONYM)
    # 1. The package, and what people have said. A version that waits for a person holds up no other: it takes no lease.
    given, pointers = call.state, ROOM.pointers.read()
    check_phases(given, ROOM.workload.rollout.phases)
    package = VERSIONS.find(given, pointers)
    verdict = VERSIONS.verdict(call, package, pointers)
    # 2. The lease. Everything after it is only looked at if this release has its turn.
    turn: Turn = "busy"
    if not (verdict.waits or verdict.refusal):

        def changes() -> bool:
            would, _ = opening(given, package, pointers, verdict, turn="open", is_served=is_served(given, pointers))
            return would == "open"

        turn = take_turn(ROOM, call, changes=changes)
    leased = turn == "open"
    if leased:
        pointers = ROOM.pointers.read()  # under the lease nobody else moves them
    if leased or (verdict.refusal and package.approval != APPROVED):
        ROOM.leases.free(package.arn)  # the lease `first`, which its registration took: another training may start
    # 3. The endpoints, then what the release does next.
    looks = leased and not ROOM.workload.rollout.has_no_endpoint
    live = standing(SAGEMAKER, NAMES.endpoint, serves=True) if looks else "absent"
    challenger = standing(SAGEMAKER, NAMES.challenger, serves=False) if looks else "absent"
    served = leased and is_served(given, pointers)
    outcome, refusal = opening(given, package, pointers, verdict, turn=turn, is_served=served)
    # 4. What has to happen before the machine goes on.
    if outcome == "open" and given.rollback and challenger == "in_service":
        answer_at_once(package.version, execution=call.execution_arn)
    if outcome == "open" and "changing" in (live, challenger):
        changing = NAMES.endpoint if live == "changing" else NAMES.challenger
        raise EndpointChangingError(f"endpoint {changing}: expected one that SageMaker does not change now")
    return started(
        package,
        pointers,
        ROLLBACK_PHASES if given.rollback else given.rollout.phases,
        label=label_of(package.version, call.execution_arn),
        outcome=outcome,
        refusal=refusal,
        has_live=ROOM.workload.rollout.has_no_endpoint or live == "in_service",
        has_challenger=challenger == "in_service",
        rule_answer=VERSIONS.rule_answer(package),
        approval_hours=ROOM.workload.rollout.approval_hours,
        keeps_warm=ROOM.workload.rollout.warm_hours > 0 and given.rollback is None,
    )


def answer_at_once(version: str, *, execution: str) -> None:
    """Let the version before answer all requests until the live endpoint serves it, if it is still warm."""
    previous = ROOM.pointers.read().previous
    if previous and previous.version == version and served_model(SAGEMAKER, NAMES.challenger) == previous.model_name:
        ROOM.pointers.put_canary(previous, share=1.0, execution=execution)


def is_served(given: ReleaseInput, pointers: Pointers) -> bool:
    """Whether the live version is to be restored, and stands: the endpoint serves it, or it has a model for files."""
    champion = pointers.champion
    if given.rollback is None or not given.rollback.restores or champion is None:
        return False
    if ROOM.workload.rollout.has_no_endpoint:
        return find_model(SAGEMAKER, champion.model_name) is not None
    return served_model(SAGEMAKER, NAMES.endpoint) == champion.model_name
