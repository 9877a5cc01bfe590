"""Each hour: what no running execution holds is free, no endpoint of a release is left that has ended; a record of the
audit that the chain lacks, a live endpoint whose version is not known, and a failure that nobody was told, are noticed.

Step Functions delivers the end of an execution to EventBridge as best effort, so the event that lets `cleanup` free a
slot or a lease, and that people are told a failure by, may never come. Those of failures come here too, and are noted:
https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-states.html"""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import uuid4

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from functions.sweep.failures import UnheardFailures
from functions.sweep.holders import Pass
from millrace.messages.envelope import Event, ExecutionInput, Message, handles
from millrace.messages.execution import ExecutionEnded
from millrace.operations.alarms import AUDIT_AGE
from millrace.release.leftovers import Leftovers
from millrace.release.registry import Registry
from millrace.settings.environment import Environment
from millrace.state.audit_chain import AuditChain
from millrace.state.audit_lag import AuditLag
from millrace.state.cursors import StoredCursors
from millrace.state.leases import Leases
from millrace.state.orphan_notice import OrphanNotice
from millrace.state.pointers import ReleasePointers
from millrace.state.reported_failures import ReportedFailures
from millrace.state.slots import Slots
from millrace.state.table import StateTable

SETTINGS = Environment.parse()
NAMES = SETTINGS.names
LOGGER = Logger()
STATES, LAMBDA = boto3.client("stepfunctions"), boto3.client("lambda")
DYNAMODB, SAGEMAKER = boto3.client("dynamodb"), boto3.client("sagemaker")
STATE = StateTable(DYNAMODB, NAMES)
SLOTS, LEASES = Slots(STATE), Leases(STATE)
LEFTOVERS = Leftovers(
    sagemaker=SAGEMAKER,
    cloudwatch=boto3.client("cloudwatch"),
    names=NAMES,
    leases=LEASES,
    pointers=ReleasePointers(STATE),
    registry=Registry(SAGEMAKER, group=NAMES.package_group),
)
EVENTS = boto3.client("events")
NOTICE = OrphanNotice(events=EVENTS, names=NAMES, state=STATE)
REPORTED = ReportedFailures(STATE)
FAILURES = UnheardFailures(states=STATES, events=EVENTS, names=NAMES, cursors=StoredCursors(STATE), reported=REPORTED)
LAG = AuditLag(
    dynamodb=DYNAMODB,
    names=NAMES,
    chain=AuditChain(boto3.client("s3"), bucket=NAMES.platform.bucket("audit"), workload=NAMES.workload),
    state=STATE,
)


class Scheduled(Message):
    """Detail of a schedule's call."""

    schedule: str


class Swept(Message):
    """What one sweep found."""

    ended: tuple[str, ...]
    """Executions that had ended and held something; `cleanup` is called for each."""
    freed: tuple[str, ...]
    """Slots and leases of executions that do not exist."""
    deleted: tuple[str, ...]
    """Endpoints and alarms that a release left behind."""


class Noted(Message):
    """A failure of which the event came."""

    execution_arn: str


@LOGGER.inject_lambda_context
@handles(Event[Scheduled | ExecutionEnded])
def handler(call: Event[Scheduled | ExecutionEnded]) -> Swept | Noted:
    """By the schedule what was found; by the event of a failure its execution, which the next sweeps do not tell."""
    if isinstance(call.detail, ExecutionEnded):
        REPORTED.note(call.detail.execution_arn, as_of=call.as_of)
        return Noted(execution_arn=call.detail.execution_arn)
    return sweep(call)


def sweep(call: ExecutionInput) -> Swept:
    """What was found; a sweep that is repeated finds what is left."""
    found = Pass(states=STATES, held=(SLOTS, LEASES), as_of=call.as_of).find()
    for event in found.ended:
        # Asynchronously: a call that fails is repeated and becomes a dead letter as the event itself would.
        LAMBDA.invoke(FunctionName=NAMES.function("cleanup"), InvocationType="Event", Payload=json.dumps(event))
    swept = Swept(
        ended=tuple(event["detail"]["executionArn"] for event in found.ended),
        freed=found.freed,
        deleted=tuple(LEFTOVERS.delete(holder=f"sweep {uuid4()}", as_of=call.as_of)),
    )
    LOGGER.info("swept", extra=swept.model_dump())
    if endpoint := LEFTOVERS.orphan():
        NOTICE.send(endpoint, cause=call.cause, as_of=call.as_of)
    if lag := LAG.check(call.as_of):
        publish(lag)
    if unheard := FAILURES.tell(cause=call.cause, as_of=call.as_of):
        LOGGER.warning("told late", extra={"executions": unheard})
    return swept


def publish(lag: timedelta) -> None:
    """Only where there is one, for a metric costs by the month: of the stage, as one alarm is on all its chains."""
    metrics = EphemeralMetrics(service="")  # else powertools adds a dimension "service" beside ours
    metrics.add_dimension("Stage", SETTINGS.stage)
    metrics.add_metric(AUDIT_AGE, MetricUnit.Milliseconds, lag.total_seconds() * 1000)
    metrics.flush_metrics()
