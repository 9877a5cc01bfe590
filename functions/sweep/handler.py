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

Step Functions delivers the event that an execution has ended as best effort. So the event by which `cleanup` frees a
slot, and by which people hear of a failure, may be lost. Events of failures come here too, and are noted for step 5:
https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-states.html"""

from __future__ import annotations

import json
from uuid import uuid4

import boto3
from aws_lambda_powertools.metrics import MetricUnit

from millrace.aws.endpoints import is_changing
from millrace.aws.metrics import publish
from millrace.decisions.answered import Reviews
from millrace.decisions.portion import ConsumerQueues
from millrace.functions.room import WorkloadRoom
from millrace.functions.sweep import people
from millrace.functions.sweep.findings import ReportedFailure, audit_lag, tell_orphan, tell_unheard
from millrace.functions.sweep.holders import Noted, Pass, Scheduled, Swept
from millrace.messages.envelope import Event, ExecutionInput
from millrace.messages.execution import ExecutionEnded
from millrace.operations.alarms import AUDIT_AGE
from millrace.release.leftovers import Leftovers, Restoration
from millrace.release.registry import Registry
from millrace.settings.release import ReleaseSettings
from millrace.state.audit_chain import AuditChain
from millrace.state.holdings import Slots

ROOM = WorkloadRoom(ReleaseSettings.parse(), __name__)
STATES, LAMBDA = boto3.client("stepfunctions"), boto3.client("lambda")
SAGEMAKER, CLOUDWATCH = boto3.client("sagemaker"), boto3.client("cloudwatch")
SLOTS = Slots(ROOM.state)
REGISTRY = Registry(SAGEMAKER, group=ROOM.names.package_group)
LEFTOVERS = Leftovers(sagemaker=SAGEMAKER, cloudwatch=CLOUDWATCH, names=ROOM.names, state=ROOM.state)
RESTORATION = Restoration(
    sagemaker=SAGEMAKER, scaling=boto3.client("application-autoscaling"), states=STATES, names=ROOM.names
)
S3 = boto3.client("s3")
CHAIN = AuditChain(S3, bucket=ROOM.names.platform.bucket("audit"), workload=ROOM.names.workload)
TELL = ConsumerQueues.of(ROOM.names, ROOM.workload.consumers, boto3.client).send_expired
REVIEWS = Reviews(dynamodb=ROOM.dynamodb, s3=S3, names=ROOM.names, tell=TELL) if ROOM.workload.policy else None


@ROOM.handles(Event[Scheduled | ExecutionEnded])
def handler(call: Event[Scheduled | ExecutionEnded]) -> Swept | Noted:
    """For a call by the schedule, what the sweep found. For the event of a failure, the execution that was noted."""
    if isinstance(call.detail, ExecutionEnded):
        ReportedFailure(execution_arn=call.detail.execution_arn, as_of=call.as_of).put(ROOM.state)
        return Noted(execution_arn=call.detail.execution_arn)
    return sweep(call)


def sweep(call: ExecutionInput) -> Swept:
    """Do one sweep and return what it found. A repeated sweep finds what is left."""
    # Slots and leases, then what failed releases left.
    found = Pass(states=STATES, held=(SLOTS, ROOM.leases), as_of=call.as_of).find()
    for event in found.ended:
        # Asynchronously (`Event`): Lambda repeats a call that fails, and it becomes a dead letter as the event would.
        LAMBDA.invoke(FunctionName=ROOM.names.function("cleanup"), InvocationType="Event", Payload=json.dumps(event))
    swept = Swept(
        ended=tuple(event["detail"]["executionArn"] for event in found.ended),
        freed=found.freed,
        deleted=tuple(LEFTOVERS.delete(holder=f"sweep {uuid4()}", as_of=call.as_of)),
    )
    ROOM.logger.info("swept", extra=swept.model_dump())
    if ROOM.leases.find("release") is None and not is_changing(SAGEMAKER, ROOM.names.endpoint):
        key = f"sweep {call.as_of:%Y-%m-%d}"
        RESTORATION.restore(ROOM.pointers.champion(), who="sweep", cause=call.cause, key=key, as_of=call.as_of)
    # What nobody else notices: an endpoint of no known version, a record without a link, a failure without an event.
    if endpoint := LEFTOVERS.orphan():
        tell_orphan(ROOM, endpoint, cause=call.cause, as_of=call.as_of)
    if lag := audit_lag(ROOM, CHAIN, call.as_of):
        # One alarm watches the chains of all workloads of the stage.
        publish({AUDIT_AGE: lag.total_seconds() * 1000}, unit=MetricUnit.Milliseconds, Stage=ROOM.settings.stage)
    if unheard := tell_unheard(ROOM, STATES, cause=call.cause, as_of=call.as_of):
        ROOM.logger.warning("told late", extra={"executions": unheard})
    if hours := ROOM.workload.monitors.remind_hours:
        reminded = people.remind(ROOM, CLOUDWATCH, hours=hours, cause=call.cause, as_of=call.as_of)
        ROOM.logger.info("reminded", extra={"of": reminded})
    people.refuse_overdue(ROOM, REGISTRY, now=call.as_of)
    if REVIEWS:
        people.end_reviews(ROOM, REVIEWS, now=call.as_of)
    return swept
