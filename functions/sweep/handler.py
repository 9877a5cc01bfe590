"""The sweep makes up for lost events. Each hour it does this:

1. It calls `cleanup` for ended executions that still hold a slot or a lease, and frees what no execution holds.
2. It deletes what a failed release left: endpoints and alarms. Once a day it has the live version restored if the
   endpoint serves another one.
3. It sends a notice for a live endpoint whose version is not known.
4. It publishes for how long a record of the audit has lacked its link in the chain.
5. It tells of failed executions whose event never came.
6. It drops the labels of people's answers that were not dropped yet, and ends decisions that nobody answered in time.
   It publishes how many others wait, and how long the oldest does.
7. It refuses versions that nobody has approved in time.
8. It reminds people of alarms on which nobody has acted.
9. It stops a live endpoint that nobody has asked for the declared hours, and notes when it serves again. A schedule of
   its own has it started (`rollout.idle`).

Step Functions delivers the event that an execution has ended as best effort. So the event by which `cleanup` frees a
slot, and by which people hear of a failure, may be lost. Events of failures come here too, and are noted for step 5:
https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-states.html"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from uuid import uuid4

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit

from millrace.aws.endpoints import is_changing
from millrace.aws.metrics import publish
from millrace.decisions.answered import Reviews
from millrace.functions.sweep.failures import UnheardFailures
from millrace.functions.sweep.holders import Pass
from millrace.functions.sweep.reminders import Reminders
from millrace.messages.envelope import Event, ExecutionInput, Message, handles
from millrace.messages.execution import ExecutionEnded
from millrace.monitoring.alarms import reminded
from millrace.operations.alarms import AUDIT_AGE, REVIEW_AGE, WAITING_REVIEWS
from millrace.release.idle import START_SCHEDULE, Sleep
from millrace.release.leftovers import Leftovers
from millrace.release.promotion import outcome_of
from millrace.release.registry import Registry
from millrace.release.restoration import Restoration
from millrace.release.waking import wake
from millrace.settings.release import ReleaseSettings
from millrace.state.audit_chain import AuditChain
from millrace.state.audit_lag import AuditLag
from millrace.state.climbing import Climbing
from millrace.state.leases import Leases
from millrace.state.orphan_notice import OrphanNotice
from millrace.state.pointers import ReleasePointers
from millrace.state.reported_failures import ReportedFailure
from millrace.state.reviews import ReviewQueue
from millrace.state.slots import Slots
from millrace.state.table import StateTable
from millrace.workload.load import load_workload

SETTINGS = ReleaseSettings.parse()
NAMES = SETTINGS.names
LOGGER = Logger()
STATES, LAMBDA = boto3.client("stepfunctions"), boto3.client("lambda")
DYNAMODB, SAGEMAKER, CLOUDWATCH = boto3.client("dynamodb"), boto3.client("sagemaker"), boto3.client("cloudwatch")
STATE = StateTable(DYNAMODB, NAMES)
SLOTS, LEASES = Slots(STATE), Leases(STATE)
POINTERS = ReleasePointers(STATE)
REGISTRY = Registry(SAGEMAKER, group=NAMES.package_group)
LEFTOVERS = Leftovers(
    sagemaker=SAGEMAKER,
    cloudwatch=CLOUDWATCH,
    names=NAMES,
    leases=LEASES,
    pointers=POINTERS,
    registry=REGISTRY,
)
SCALING = boto3.client("application-autoscaling")
RESTORATION = Restoration(sagemaker=SAGEMAKER, scaling=SCALING, states=STATES, names=NAMES)
EVENTS = boto3.client("events")
NOTICE = OrphanNotice(events=EVENTS, names=NAMES, state=STATE)
FAILURES = UnheardFailures(states=STATES, events=EVENTS, names=NAMES, state=STATE)
S3 = boto3.client("s3")
LAG = AuditLag(
    dynamodb=DYNAMODB,
    names=NAMES,
    chain=AuditChain(S3, bucket=NAMES.platform.bucket("audit"), workload=NAMES.workload),
    state=STATE,
)
WORKLOAD = load_workload(SETTINGS.folder)
REMINDERS = Reminders(
    cloudwatch=CLOUDWATCH, events=EVENTS, names=NAMES, state=STATE, owner=WORKLOAD.owner, alarms=reminded()
)
POLICY = WORKLOAD.policy
IDLE = WORKLOAD.rollout.idle
SLEEP = Sleep(sagemaker=SAGEMAKER, dynamodb=DYNAMODB, names=NAMES, state=STATE, function="sweep")
REVIEWS = Reviews(dynamodb=DYNAMODB, s3=S3, names=NAMES) if POLICY else None
MOST_COUNTED = 10_000
"""Waiting decisions are counted up to this number."""
MOST_ENDED = 1000
"""The most decisions that one sweep ends: they take it half a minute."""


class Scheduled(Message):
    """The detail of a schedule's call: {"workload": "electricity", "schedule": "sweep"}."""

    schedule: str


class Swept(Message):
    """What one sweep found."""

    ended: tuple[str, ...]
    """Executions that had ended and still held something. `cleanup` was called for each."""
    freed: tuple[str, ...]
    """The keys of slots and leases that were freed, since their holders have no execution."""
    deleted: tuple[str, ...]
    """Endpoints and alarms that a failed release had left."""


class Noted(Message):
    """The answer to the event of a failure: the execution is noted."""

    execution_arn: str


@LOGGER.inject_lambda_context
@handles(Event[Scheduled | ExecutionEnded])
def handler(call: Event[Scheduled | ExecutionEnded]) -> Swept | Noted:
    """For a call by the schedule, what the sweep found. For the event of a failure, the execution that was noted."""
    if isinstance(call.detail, ExecutionEnded):
        ReportedFailure(execution_arn=call.detail.execution_arn, as_of=call.as_of).put(STATE)
        return Noted(execution_arn=call.detail.execution_arn)
    if call.detail.schedule == START_SCHEDULE:
        run = NAMES.function_arn("sweep")
        wake(STATE, NAMES, run=run, cause=call.cause, at=call.as_of, connect=lambda: EVENTS)
    return sweep(call)


def sweep(call: ExecutionInput) -> Swept:
    """Do one sweep and return what it found. A repeated sweep finds what is left."""
    # Slots and leases, then what failed releases left.
    found = Pass(states=STATES, held=(SLOTS, LEASES), as_of=call.as_of).find()
    for event in found.ended:
        # Asynchronously (`Event`): Lambda repeats a call that fails, and it becomes a dead letter as the event would.
        LAMBDA.invoke(FunctionName=NAMES.function("cleanup"), InvocationType="Event", Payload=json.dumps(event))
    swept = Swept(
        ended=tuple(event["detail"]["executionArn"] for event in found.ended),
        freed=found.freed,
        deleted=tuple(LEFTOVERS.delete(holder=f"sweep {uuid4()}", as_of=call.as_of)),
    )
    LOGGER.info("swept", extra=swept.model_dump())
    if LEASES.find("release") is None and not is_changing(SAGEMAKER, NAMES.endpoint):
        key = f"sweep {call.as_of:%Y-%m-%d}"
        RESTORATION.restore(POINTERS.champion(), who="sweep", cause=call.cause, key=key, as_of=call.as_of)
    # What nobody else notices: an endpoint of no known version, a record without a link, a failure without an event.
    if endpoint := LEFTOVERS.orphan():
        NOTICE.send(endpoint, cause=call.cause, as_of=call.as_of)
    if lag := LAG.check(call.as_of):
        # One alarm watches the chains of all workloads of the stage.
        figure = {AUDIT_AGE: lag.total_seconds() * 1000}
        publish(figure, unit=MetricUnit.Milliseconds, Stage=SETTINGS.stage)
    if unheard := FAILURES.tell(cause=call.cause, as_of=call.as_of):
        LOGGER.warning("told late", extra={"executions": unheard})
    if hours := WORKLOAD.monitors.remind_hours:
        LOGGER.info("reminded", extra={"of": REMINDERS.send(hours=hours, cause=call.cause, as_of=call.as_of)})
    if SETTINGS.approval == "person":
        refuse_overdue(call.as_of)
    if IDLE:
        SLEEP.end(cause=call.cause, as_of=call.as_of)
        if SLEEP.begin(CLOUDWATCH, SCALING, hours=IDLE.stop_after_hours, cause=call.cause, as_of=call.as_of):
            LOGGER.info("stopped", extra={"endpoint": NAMES.endpoint})
    if REVIEWS and POLICY:
        dropped = REVIEWS.drop_labels(now=call.as_of)
        if "assisted" in WORKLOAD.rollout.phases:
            withdraw_items(REVIEWS.queue, now=call.as_of)
        ended = REVIEWS.queue.end_expired(now=call.as_of, most=MOST_ENDED)
        LOGGER.info("reviews", extra={"labels": dropped, "ended": ended})
        if oldest := REVIEWS.queue.oldest(now=call.as_of):
            late_after = timedelta(hours=POLICY.review.late_after_hours)
            waiting = REVIEWS.queue.count(most=MOST_COUNTED, now=call.as_of)
            publish_waiting(waiting, age=(call.as_of - oldest) / late_after)
    return swept


def withdraw_items(queue: ReviewQueue, *, now: datetime) -> None:
    """Ask nobody any more about a version that has left the phase `assisted`, however its release has ended."""
    climbing = Climbing.find(STATE)
    on_phase = climbing.version if climbing and climbing.phase == "assisted" else None
    waiting = queue.waiting(most=MOST_ENDED, now=now)
    left = [one for one in waiting if one.is_challengers and one.model_version != on_phase]
    if withdrawn := sum(queue.withdraw(one.id, now=now) for one in left):
        LOGGER.info("withdrawn", extra={"reviews": withdrawn})


def refuse_overdue(now: datetime) -> None:
    """Refuse each version that has waited so long that a person should have approved it by now.

    SageMaker's event of it starts the release, which keeps the refusal in the audit and tells it."""
    hours, pointers = WORKLOAD.rollout.approval_hours, POINTERS.read()
    for package in list(REGISTRY.waiting()):
        waits = outcome_of(pointers, package.version, turn="open") == "open"
        if waits and package.decided_at + timedelta(hours=hours) <= now:
            REGISTRY.refuse(package, reason=f"nobody has approved it within {hours:g} hours")
            LOGGER.warning("refused", extra={"version": package.version})


def publish_waiting(count: int, *, age: float) -> None:
    """Publish how many decisions wait for a person, and how long the oldest does, as a share of its bound.

    It is called only if one waits, since a metric costs by the month."""
    publish({WAITING_REVIEWS: count, REVIEW_AGE: age}, Workload=SETTINGS.workload)
