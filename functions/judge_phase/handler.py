"""Looks at a version on a phase of its release: the challenger answers copies, and what is known of it is judged.

In the phase `canary` it also answers a share of the requests, from the first look to the last. In the phase `live` it
answers all, and the version before answers the copies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config

from millrace.contract.load import load_contract
from millrace.datasets.label_rows import labels_between
from millrace.datasets.tables import Lake
from millrace.decisions.record import Decision
from millrace.decisions.review import item_of
from millrace.functions.judge_phase.copies import Copies
from millrace.functions.judge_phase.people import People
from millrace.functions.judge_phase.store import ClimbStore
from millrace.messages.audit import AuditEvent, PhaseEnded
from millrace.messages.climb import Climb, LookInput, PhaseJudged, Role, TwoAnswers
from millrace.messages.envelope import handles
from millrace.names import LIVE
from millrace.release import assisted
from millrace.release.climb import look, rung_of, wanted
from millrace.release.ladder import PhaseVerdict
from millrace.release.promotion import version_of
from millrace.release.registry import Package, Registry
from millrace.release.requests import NO_REQUESTS, newest, of_climb
from millrace.settings.environment import Environment
from millrace.state.audit import Record, append
from millrace.state.climbing import Climbing
from millrace.state.leases import Leases
from millrace.state.pointers import CanaryVersion, ReleasePointers
from millrace.state.reviews import ReviewQueue
from millrace.state.table import StateTable
from millrace.workload.load import load_workload

SETTINGS = Environment.parse()
NAMES = SETTINGS.names
WORKLOAD = load_workload(SETTINGS.folder)
LOGGER = Logger()
S3, DYNAMODB = boto3.client("s3"), boto3.client("dynamodb")
RUNTIME = boto3.client("sagemaker-runtime", config=Config(read_timeout=60, retries={"total_max_attempts": 2}))
LAKE = Lake(NAMES, load_contract(SETTINGS.folder))
REGISTRY = Registry(boto3.client("sagemaker"), group=NAMES.package_group)
STATE = StateTable(DYNAMODB, NAMES)
POINTERS, LEASES = ReleasePointers(STATE), Leases(STATE)
REVIEWS = ReviewQueue(DYNAMODB, NAMES)
COPIES = Copies(S3, RUNTIME, SETTINGS)
PEOPLE = People(REVIEWS, WORKLOAD, COPIES.task)


@LOGGER.inject_lambda_context
@handles(LookInput)
def handler(call: LookInput) -> PhaseJudged:
    """The verdict by what is known at `call.at`. A repeated call with a verdict gives it again."""
    release = call.state.start_release.answer
    store = ClimbStore(S3, NAMES, version=release.version, run=call.run, phase=call.phase)
    known, pairs = store.read()
    climb = known or Climb(version=release.version, champion=release.previous_version, phase=call.phase, since=call.at)
    package = REGISTRY.describe(release.package_arn)
    if climb.looks and climb.looks[-1].answer != "not_yet":
        last = climb.looks[-1]
        return conclude(call, climb, PhaseVerdict(answer=last.answer, because=last.because), package)
    is_live = call.phase == LIVE
    if is_live and not has_lease(call):
        return PhaseJudged(answer="overtaken", because="another release has begun")
    Climbing(execution=call.execution_arn, version=climb.version, phase=call.phase, since=climb.since).put(STATE)
    if rung_of(call.phase).reviewed:
        climb, verdict = look_with_people(call, store, climb, pairs, refused=package.refusal)
        store.write(climb)
        return conclude(call, climb, verdict, package)
    is_canary = rung_of(call.phase).share
    most = WORKLOAD.rollout.shadow.copies
    decided = COPIES.decided(climb, now=call.at, most=most, whole=is_canary)
    if is_canary:
        if known is None:
            climb = climb.model_copy(update={"decided_before": newest(decided)})
            # Kept before it answers: a look that dies behind this line is repeated, and counts its first requests.
            store.write(climb)
        open_canary(call)
    if is_live:
        stand_by(call)
    # 1. The answers of the challenger to rows that the live version has answered since.
    copies = COPIES.find(decided, climb, (one.id for one in pairs), most=most)
    came, failed = COPIES.ask(copies, climb)
    store.add(came, at=call.at)
    climb = climb.model_copy(update={"failed": climb.failed + failed})
    pairs += came
    # 2. The labels of pairs that were asked for, and the verdict. A person's word goes before all labels.
    errors = errors_of(climb, pairs)
    requests = of_climb(decided, climb) if is_canary else NO_REQUESTS
    climb, verdict = look(
        climb, pairs, errors, rollout=WORKLOAD.rollout, now=call.at, requests=requests, refused=package.refusal
    )
    if verdict.answer == "not_yet" and not is_canary:
        ask_people(climb, pairs, now=call.at)
    store.write(climb)
    return conclude(call, climb, verdict, package)


def look_with_people(
    call: LookInput, store: ClimbStore, climb: Climb, pairs: Sequence[TwoAnswers], *, refused: str
) -> tuple[Climb, PhaseVerdict]:
    """The climb after this look and the verdict, by what people have decided with and without the version's answers."""
    asked = WORKLOAD.rollout.assisted
    climb = PEOPLE.read(climb, pairs)
    most = assisted.room(climb, asked, call.at)
    decided = COPIES.decided(climb, now=call.at, most=most) if most else ()
    drawn = COPIES.find(decided, climb, (one.id for one in pairs), most=most, reviewed=True)
    came, failed = COPIES.ask(drawn, climb)
    climb = climb.model_copy(update={"failed": climb.failed + failed})
    climb, verdict = assisted.look(climb, [*pairs, *came], asked=asked, now=call.at, refused=refused)
    if verdict.answer == "not_yet":
        climb = PEOPLE.ask(climb, drawn, came, now=call.at)
    # Behind the queue: a look that dies before has asked about rows that the next one draws again, and finds there.
    store.add(came, at=call.at)
    return climb, verdict


def open_canary(call: LookInput) -> None:
    """Let the version answer its share of the requests, unless it does so already.

    No other release moves the pointers meanwhile, since this one has the lease."""
    pointers = POINTERS.read()
    if pointers.canary is None or pointers.canary.execution != call.execution_arn:
        version, share = version_of(call.state, NAMES), WORKLOAD.rollout.canary.share
        canary = CanaryVersion(version=version, share=share, execution=call.execution_arn)
        POINTERS.move(replace(pointers, canary=canary))


def has_lease(call: LookInput) -> bool:
    """Whether no other release has begun since the version went live: it takes the lease over."""
    lease = LEASES.find("release")
    return lease is not None and lease.holder == call.execution_arn


def stand_by(call: LookInput) -> None:
    """Note in the pointers that the version before is there, at the challenger's endpoint. It answers no requests."""
    pointers = POINTERS.read()
    if pointers.canary is None and pointers.previous:
        canary = CanaryVersion(version=pointers.previous, share=0.0, execution=call.execution_arn)
        POINTERS.move(replace(pointers, canary=canary))


def ask_people(climb: Climb, pairs: Sequence[TwoAnswers], *, now: datetime) -> None:
    """Put the pairs whose labels are asked for at this look into the queue, where a person may decide them.

    Labels of the feed `labels` count too. Without a policy nobody answers a queue, and they alone do."""
    if WORKLOAD.policy is None:
        return
    by_id = {pair.id: pair for pair in pairs}
    for place in wanted(climb):
        if place.asked_at == now:
            decision = decision_of(by_id[place.id], climb.live_role, climb)
            REVIEWS.open(item_of(decision, WORKLOAD.policy.review, opened_at=now, reason="labels_wanted"))


def errors_of(climb: Climb, pairs: Sequence[TwoAnswers]) -> dict[str, tuple[float, float]]:
    """How wrong the two answers to each pair were whose label was wanted and has come."""
    from millrace.decisions.outcome_columns import join_decisions

    names = {place.id for place in wanted(climb)}
    asked = [pair for pair in pairs if pair.id in names]
    if not asked:
        return {}
    times = [pair.event_time for pair in asked]
    rows = labels_between(LAKE, WORKLOAD.prediction, min(times), max(times) + timedelta(seconds=1))
    if rows is None:
        return {}
    labels, table = rows.to_pylist(), LAKE.contract.labels
    found = []
    for role in ("champion", "challenger"):
        outcomes = join_decisions(
            [decision_of(pair, role, climb) for pair in asked],
            labels,
            prediction_spec=WORKLOAD.prediction,
            table=table,
            task=COPIES.task,
        )
        found.append({one.decision.id: one.error for one in outcomes if one.error is not None})
    champion, challenger = found
    return {name: (champion[name], challenger[name]) for name in champion.keys() & challenger.keys()}


def decision_of(pair: TwoAnswers, role: Role, climb: Climb) -> Decision:
    """The answer of one of the two as a decision, which labels are joined with."""
    return Decision(
        id=pair.id,
        workload=NAMES.workload,
        event_time=pair.event_time,
        key=pair.key,
        input=pair.input,
        output=getattr(pair, role),
        model_version=climb.version_of(role),
        phase="live" if role == "champion" else climb.phase,
        fallback=False,
        latency_ms=0.0,
        inferred_at=pair.inferred_at,
        source=pair.source,
    )


def conclude(call: LookInput, climb: Climb, verdict: PhaseVerdict, package: Package) -> PhaseJudged:
    """The answer. A verdict is kept in the audit, and a version that is stopped is refused in the registry too."""
    judged = PhaseJudged(
        answer=verdict.answer,
        because=verdict.because,
        labels=verdict.labels,
        days=verdict.days if math.isfinite(verdict.days) else None,
    )
    LOGGER.info("judged", extra=judged.model_dump(mode="json"))
    if judged.answer == "not_yet":
        return judged
    last = climb.looks[-1]
    passed = judged.answer == "go_on"
    kept = Record(
        actor="judge_phase",
        execution_arn=call.execution_arn,
        event=AuditEvent.PHASE_PASSED if passed else AuditEvent.PHASE_STOPPED,
        as_of=last.at,
        cause=call.state.cause,
        details=PhaseEnded(
            version=climb.version,
            champion=climb.champion,
            phase=climb.phase,
            because=last.because,
            pairs=last.pairs,
            differing=last.differing,
            labels=last.labels,
            since=climb.since,
        ),
    )
    append(DYNAMODB, table=NAMES.platform.audit_table, workload=NAMES.workload, record=kept)
    if call.phase == LIVE and not passed:
        return judged  # the rollback takes all over that this release holds
    if not passed or call.phase == LIVE:
        POINTERS.end_canary(call.execution_arn)
    if not passed and not package.refusal:
        REGISTRY.refuse(package, reason=f"{climb.phase}: {last.because}")
    Climbing.remove(STATE, call.execution_arn)
    return judged
