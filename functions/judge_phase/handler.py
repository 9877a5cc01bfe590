"""Looks at a version on a phase of its release: the challenger answers copies, and what is known of it is judged.

In the phase `canary` it also answers a share of the requests, from the first look to the last. In the phase `live` it
answers all, and the version before answers the copies."""

from __future__ import annotations

import math

import boto3

from millrace.functions.judge_phase.copies import ClimbStore
from millrace.functions.judge_phase.looks import Looks
from millrace.functions.room import WorkloadRoom
from millrace.messages.audit import AuditEvent, PhaseEnded
from millrace.messages.climb import Climb, LookInput, PhaseJudged
from millrace.names import LIVE
from millrace.release.climb import rung_of
from millrace.release.ladder import PhaseVerdict
from millrace.release.registry import Package, Registry
from millrace.settings.environment import Environment
from millrace.state.climbing import Climbing

ROOM = WorkloadRoom(Environment.parse(), __name__)
S3 = boto3.client("s3")
REGISTRY = Registry(boto3.client("sagemaker"), group=ROOM.names.package_group)
LOOKS = Looks(ROOM, S3)


@ROOM.handles(LookInput)
def handler(call: LookInput) -> PhaseJudged:
    """The verdict by what is known at `call.at`. A repeated call with a verdict gives it again."""
    release = call.state.start_release.answer
    store = ClimbStore(S3, ROOM.names, version=release.version, run=call.run, phase=call.phase)
    known, pairs = store.read()
    climb = known or Climb(version=release.version, champion=release.previous_version, phase=call.phase, since=call.at)
    package = REGISTRY.describe(release.package_arn)
    if climb.looks and climb.looks[-1].answer != "not_yet":
        last = climb.looks[-1]
        return conclude(call, climb, PhaseVerdict(answer=last.answer, because=last.because), package)
    # Who begins another release since the version went live takes the lease over.
    if call.phase == LIVE and ((lease := ROOM.leases.find("release")) is None or lease.holder != call.execution_arn):
        return PhaseJudged(answer="overtaken", because="another release has begun")
    Climbing(execution=call.execution_arn, version=climb.version, phase=call.phase, since=climb.since).put(ROOM.state)
    look = LOOKS.with_people if rung_of(call.phase).reviewed else LOOKS.with_labels
    climb, verdict = look(call, store, climb, pairs, refused=package.refusal)
    store.write(climb)
    return conclude(call, climb, verdict, package)


def conclude(call: LookInput, climb: Climb, verdict: PhaseVerdict, package: Package) -> PhaseJudged:
    """The answer. A verdict is kept in the audit, and a version that is stopped is refused in the registry too."""
    judged = PhaseJudged(
        answer=verdict.answer,
        because=verdict.because,
        labels=verdict.labels,
        days=verdict.days if math.isfinite(verdict.days) else None,
    )
    ROOM.logger.info("judged", extra=judged.model_dump(mode="json"))
    if judged.answer == "not_yet":
        return judged
    last = climb.looks[-1]
    passed = judged.answer == "go_on"
    details = PhaseEnded(
        **{name: getattr(climb, name) for name in ("version", "champion", "phase", "since")},
        **{name: getattr(last, name) for name in ("because", "pairs", "differing", "labels")},
    )
    ROOM.audit(AuditEvent.PHASE_PASSED if passed else AuditEvent.PHASE_STOPPED, details, call, as_of=last.at)
    if call.phase == LIVE and not passed:
        return judged  # the rollback takes all over that this release holds
    if not passed or call.phase == LIVE:
        ROOM.pointers.end_canary(call.execution_arn)
    if not passed and not package.refusal:
        REGISTRY.refuse(package, reason=f"{climb.phase}: {last.because}")
    Climbing.remove(ROOM.state, call.execution_arn)
    return judged
